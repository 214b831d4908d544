// Counts a vitest run and closes it with one line, `N passed, N failed, N skipped`. When FLEETLOG_TEST_SUMMARY names a file the
// counts go there instead, for test/run-tests.ts, which adds its gates and closes with the line itself.
import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';
import { readEnvironment } from '#libs/system/env.ts';

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The line that says it all, alone and last. */
export const closingLine = (counts: TestCounts): string =>
  `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`;

/** A file that cannot even be loaded, and an error outside of every test, each count as one failure. */
const count = (modules: readonly TestModule[], strayErrors: number): TestCounts => {
  const counts = { passed: 0, failed: strayErrors, skipped: 0 };
  for (const module of modules) {
    if (module.errors().length > 0) counts.failed += 1;
    for (const suite of module.children.allSuites()) if (suite.errors().length > 0) counts.failed += 1;
    for (const test of module.children.allTests()) {
      const state = test.result().state;
      // Pending at the end: the run was broken off before it came to this test.
      if (state === 'passed') counts.passed += 1;
      else if (state === 'skipped') counts.skipped += 1;
      else counts.failed += 1;
    }
  }
  return counts;
};

/** For `reporters` in vitest.config.ts, last in the list. */
export const createClosingReporter = (): Reporter => ({
  onTestRunEnd: (modules, errors) => {
    const counts = count(modules, errors.length);
    const summaryPath = readEnvironment()['FLEETLOG_TEST_SUMMARY'];
    if (summaryPath !== undefined) writeFileSync(summaryPath, JSON.stringify(counts));
    // After the other reporters' summary, which is printed in the same turn.
    else process.once('exit', () => process.stdout.write(`\n${closingLine(counts)}\n`));
  },
});
