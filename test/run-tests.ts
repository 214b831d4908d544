// `npm test`: the gates (format, lint, types, dead code, generated files), two at a time, then every suite. Closes with one line,
// `N passed, N failed, N skipped`, in which each gate counts as one. Arguments that are no options of ours go to vitest, and then the
// gates are left out: `npm test -- test/unit`. Options: --gates-only, --no-gates.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { locateBroker, locateOptionsFrom } from '#libs/broker/locate.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { closingLine, type TestCounts } from '#test/support/reporter.ts';

const ROOT = join(import.meta.dirname, '..');
const GATES = ['format:check', 'lint', 'types', 'dead-code', 'docs:check'];
const GATES_AT_ONCE = 2;
/** The type checkers are programs in Go: a quarter less processor time for a tenth more memory. */
const FEWER_COLLECTIONS = { GOGC: '300' };
/** The suites take a few minutes; what takes this long hangs. */
const SUITES_WITHIN_MS = 20 * 60_000;
const KILL_AFTER_MS = 5000;

const environment = {
  ...readEnvironment(),
  PATH: `${join(ROOT, 'node_modules/.bin')}${delimiter}${readEnvironment()['PATH'] ?? ''}`,
  // Tests start hundreds of processes: compiling what each loads anew is half of the processor time of the crash tests.
  NODE_COMPILE_CACHE: join(ROOT, '.cache/compile-tests'),
};

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const running = new Set<ReturnType<typeof spawn>>();

interface CommandOptions {
  readonly isQuiet: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly withinMs?: number;
}

/** Ends a command that hangs; returns what calls that off. */
const limitTime = (child: ReturnType<typeof spawn>, withinMs: number): (() => void) => {
  const cancels = [
    systemClock.timer(withinMs, () => {
      say(`✗ not finished within ${withinMs / 1000} s`);
      child.kill('SIGTERM');
    }),
    systemClock.timer(withinMs + KILL_AFTER_MS, () => child.kill('SIGKILL')),
  ];
  return () => cancels.forEach((cancel) => cancel());
};

/** Runs a command of the project to its end; output is shown as it comes, or kept (`isQuiet`) for the caller to show. */
const run = (
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<{ readonly isOk: boolean; readonly output: string }> =>
  new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env: { ...environment, ...options.env },
      stdio: [
        'ignore',
        ...(options.isQuiet ? (['pipe', 'pipe'] as const) : (['inherit', 'inherit'] as const)),
      ],
    });
    running.add(child);
    const finish = options.withinMs === undefined ? () => {} : limitTime(child, options.withinMs);
    let output = '';
    child.stdout?.on('data', (chunk) => (output += String(chunk)));
    child.stderr?.on('data', (chunk) => (output += String(chunk)));
    child.once('error', (error) => (output += error.message));
    child.once('close', (code) => {
      finish();
      running.delete(child);
      resolve({ isOk: code === 0, output });
    });
  });

const readScripts = (): Readonly<Record<string, string | undefined>> => {
  const manifest: { scripts: Record<string, string> } = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  );
  return manifest.scripts;
};

const seconds = (sinceMs: number): string => `${((systemClock.monotonicMs() - sinceMs) / 1000).toFixed(1)} s`;

const runGate = async (name: string, script: string | undefined): Promise<boolean> => {
  const began = systemClock.monotonicMs();
  const result =
    script === undefined
      ? { isOk: false, output: `package.json has no script "${name}"` }
      : await run('sh', ['-c', script], { isQuiet: true, env: FEWER_COLLECTIONS });
  say(`${result.isOk ? '✓' : '✗'} ${name} (${seconds(began)})`);
  if (!result.isOk) say(result.output.trimEnd());
  return result.isOk;
};

const runGates = async (): Promise<TestCounts> => {
  const scripts = readScripts();
  const waiting = [...GATES];
  let [passed, failed] = [0, 0];
  const work = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      if (await runGate(name, scripts[name])) passed += 1;
      else failed += 1;
    }
  };
  await Promise.all(Array.from({ length: GATES_AT_ONCE }, work));
  return { passed, failed, skipped: 0 };
};

/** Fetches the broker once, with words about what takes long, instead of silently in each worker. */
const prepareBroker = async (): Promise<void> => {
  const options = locateOptionsFrom(readEnvironment(), systemClock, (line) => say(`nats-server: ${line}`));
  await locateBroker(options).catch((error: unknown) =>
    say(error instanceof Error ? error.message : String(error)),
  );
};

const readCounts = (path: string): TestCounts | undefined => {
  try {
    const counts: TestCounts = JSON.parse(readFileSync(path, 'utf8'));
    return counts;
  } catch {
    return undefined;
  }
};

const runSuites = async (args: readonly string[]): Promise<TestCounts> => {
  await prepareBroker();
  const folder = mkdtempSync(join(tmpdir(), 'fleetlog-summary-'));
  const summaryPath = join(folder, 'counts.json');
  try {
    const result = await run('vitest', ['run', '--project', 'pure', '--project', 'real', ...args], {
      isQuiet: false,
      withinMs: SUITES_WITHIN_MS,
      env: { FLEETLOG_TEST_SUMMARY: summaryPath },
    });
    const counts = readCounts(summaryPath) ?? { passed: 0, failed: 0, skipped: 0 };
    // vitest also fails for what is no test: a broken configuration, a crash, no test found.
    return !result.isOk && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

const OWN_OPTIONS = ['--gates-only', '--no-gates'];

const main = async (args: readonly string[]): Promise<void> => {
  const forVitest = args.filter((arg) => !OWN_OPTIONS.includes(arg));
  const withGates = args.includes('--gates-only') || (!args.includes('--no-gates') && forVitest.length === 0);
  const none: TestCounts = { passed: 0, failed: 0, skipped: 0 };
  const gates = withGates ? await runGates() : none;
  const suites = args.includes('--gates-only') ? none : await runSuites(forVitest);
  const counts = {
    passed: gates.passed + suites.passed,
    failed: gates.failed + suites.failed,
    skipped: gates.skipped + suites.skipped,
  };
  if (counts.failed > 0) process.exitCode = 1;
  say(`\n${closingLine(counts)}`);
};

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    for (const child of running) child.kill(signal);
    process.exit(1);
  });
}

await main(process.argv.slice(2));
