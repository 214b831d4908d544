// The container suite: one file after another, with time for images and restarts. Not part of `npm test`.
import { defineConfig } from 'vitest/config';
import { createClosingReporter } from '../support/reporter.ts';

export default defineConfig({
  test: {
    include: ['test/compose/*.test.ts'],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 600_000,
    reporters: ['verbose', createClosingReporter()],
  },
});
