// How the suites run. What runs besides them (format, lint, types, …) is in test/run-tests.ts.
// compose, providers and bench are no part of it: they need a container engine, real agent programs, or a quiet machine.
import { defineConfig } from 'vitest/config';
import { createClosingReporter } from './test/support/reporter.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/{bench,compose,providers}/**', 'node_modules/**'],
    // A process a file: a test that leaks a timer, a connection or a listener cannot disturb the next file.
    pool: 'forks',
    // Tests with a broker wait for disks and timers as much as for the processor.
    maxWorkers: 3,
    setupFiles: ['test/support/worker-end.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 5_000,
    reporters: ['default', createClosingReporter()],
  },
});
