// How the suites run. What runs besides them (format, lint, types, …) is in test/run-tests.ts.
// compose and bench are no part of it: they need a container engine or a quiet machine. `npm run test:compose`
// runs the project of that name; bench is no suite.
import { defineConfig } from 'vitest/config';
import { createClosingReporter } from './test/support/reporter.ts';

const PURE = 'test/{architecture,golden,property,unit}/**/*.test.ts';

export default defineConfig({
  test: {
    // Tests with a broker wait for disks and timers as much as for the processor.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
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
          exclude: [PURE, 'test/{bench,compose}/**', 'node_modules/**'],
          // A process a file: what a test leaks (a timer, a connection, a listener) cannot disturb the next file.
          pool: 'forks',
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
    ],
  },
});
