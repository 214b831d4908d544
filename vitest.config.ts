// How the suites run. What runs besides them (format, lint, types, …) is in test/run-tests.ts.
// compose, providers and bench are no part of it: they need a container engine, real agent programs or a quiet machine.
// `npm run test:compose` and `npm run test:providers` run the projects of those names; bench is no suite.
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { createClosingReporter } from './test/support/reporter.ts';

const PURE = 'test/{architecture,golden,property,unit}/**/*.test.ts';

/** On a fresh checkout nothing is known of how long a file takes: those of faults and whole stacks do, and must not be left for the end. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean => /\/test\/(fault|e2e)\//.test(moduleId);
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    // Tests with a broker wait for disks and timers as much as for the processor.
    maxWorkers: 3,
    sequence: { sequencer: LongFirst },
    // For what hangs only: a busy machine is slow.
    testTimeout: 60_000,
    hookTimeout: 90_000,
    teardownTimeout: 5_000,
    reporters: ['default', createClosingReporter()],
    projects: [
      {
        extends: true,
        test: {
          name: 'pure',
          include: [PURE],
          // Nothing to leak here: files of one worker share their loaded modules, which takes a third of the time.
          pool: 'threads',
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'real',
          include: ['test/**/*.test.ts'],
          exclude: [PURE, 'test/{bench,compose,providers}/**', 'node_modules/**'],
          // Processes, so that tests may be killed and watched from outside. Files of one worker share their loaded modules, which
          // takes 2 s of processor time off each: a file must end what it starts (support/worker-resources.ts).
          pool: 'forks',
          isolate: false,
          setupFiles: ['test/support/worker-end.ts'],
        },
      },
      {
        extends: true,
        // One story in containers: images, restarts and leases take their time.
        test: {
          name: 'compose',
          include: ['test/compose/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 600_000,
        },
      },
      {
        extends: true,
        // Real agent programs against a scripted model: they are fetched once, and each takes its time to start.
        test: {
          name: 'providers',
          include: ['test/providers/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
