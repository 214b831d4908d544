// The closing line that machines read, from real runs of vitest: it counts what went wrong outside of tests too.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/** Runs vitest on one file of its own, with our reporter; the outcome's last line and exit code. */
const runSample = (source: string): Promise<{ readonly last: string; readonly code: number }> => {
  // Inside the checkout, where its packages are found.
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.cache/sample-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'sample.test.ts'), `import { expect, test } from 'vitest';\n${source}\n`);
  writeFileSync(
    join(folder, 'vitest.config.ts'),
    `import { createClosingReporter } from '#test/support/reporter.ts';
export default { test: { include: ['*.test.ts'], reporters: ['dot', createClosingReporter()] } };\n`,
  );
  const env = { ...process.env };
  delete env['FLEETLOG_TEST_SUMMARY'];
  return new Promise((resolve) => {
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    const child = execFile(
      process.execPath,
      [vitest, 'run', '--root', folder],
      { env, cwd: folder },
      (_, stdout) => resolve({ last: stdout.trimEnd().split('\n').at(-1) ?? '', code: child.exitCode ?? -1 }),
    );
  });
};

test.each([
  [
    'passed, failed and skipped tests',
    "test('a', () => expect(1).toBe(1)); test('b', () => expect(1).toBe(2)); test.skip('c', () => {}); test.todo('d');",
    '1 passed, 1 failed, 2 skipped',
    1,
  ],
  ['a good run', "test('a', () => expect(1).toBe(1));", '1 passed, 0 failed, 0 skipped', 0],
  [
    'a file that cannot be loaded',
    "test('a', () => {}); throw new Error('no');",
    '0 passed, 1 failed, 0 skipped',
    1,
  ],
  [
    'an error outside of every test',
    "test('a', async () => { void Promise.reject(new Error('stray')); await new Promise(setImmediate); });",
    '1 passed, 1 failed, 0 skipped',
    1,
  ],
])('%s', async (_, source, line, code) => {
  expect(await runSample(source)).toEqual({ last: line, code });
});
