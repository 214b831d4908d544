// Lines that real programs have printed mean what they meant when they were recorded.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CASES, meaningsOf, recordedPath } from '#test/support/program-lines.ts';

test.each(CASES)('the lines of %s mean what they meant', (name) => {
  expect(meaningsOf(name)).toEqual(JSON.parse(readFileSync(recordedPath(name), 'utf8')));
});
