// `npm run test:providers`: real agent programs against a scripted model on loopback. They are fetched once (about 2 GB); one that
// cannot be had is skipped with the reason.
import { spawnSync } from 'node:child_process';
import { readEnvironment } from '#libs/system/env.ts';
import { fetchProgram, REAL_AGENTS, REAL_PROGRAMS, variableOf } from '#test/support/real-programs.ts';

const ROOT = `${import.meta.dirname}/../..`;

const env: Record<string, string | undefined> = { ...readEnvironment() };
let there = 0;
const wanted = { ...REAL_PROGRAMS, ...REAL_AGENTS };
const names = Object.keys(wanted) as (keyof typeof wanted)[];
for (const name of names) {
  process.stdout.write(`looking for ${name} ${wanted[name].version}\n`);
  const fetched = fetchProgram(name);
  if (fetched.kind === 'missing') process.stdout.write(`skipped: ${fetched.reason}\n`);
  else {
    env[variableOf(name)] = fetched.path;
    there += 1;
  }
}
if (there > 0) {
  const args = ['run', '--project', 'providers', ...process.argv.slice(2)];
  const { status } = spawnSync('vitest', args, { cwd: ROOT, stdio: 'inherit', env });
  process.exitCode = status ?? 1;
} else process.stdout.write(`0 passed, 0 failed, ${names.length} skipped\n`);
