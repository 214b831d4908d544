// How a person names a point in a stream.
import { expect, test } from 'vitest';
import { parseTime } from '#libs/system/clock.ts';
import { parsePoint } from '#services/cli/time-argument.ts';

const NOW = 1_800_000_000_000;
const point = (text: string) => parsePoint('--from', text, NOW, parseTime);

test('digits are a sequence', () => {
  expect(point('1200')).toEqual({ seq: 1200 });
});

test.each([
  ['30s', 30_000],
  ['10m', 600_000],
  ['-2h', 7_200_000],
  ['1.5d', 129_600_000],
])('%s is how long ago', (text, agoMs) => {
  expect(point(text)).toEqual({ atMs: NOW - agoMs });
});

test('an ISO time is a time', () => {
  expect(point('2026-11-21T07:00:00Z')).toEqual({ atMs: 1_795_244_400_000 });
});

test.each(['', 'yesterday', '5 minutes', '2026-13-45T99:00:00Z', '10w', '1e3', '-5'])(
  '%j is refused with what would be understood',
  (text) => {
    expect(() => point(text)).toThrow(
      expect.objectContaining({
        code: 'ARGUMENT_INVALID',
        message: expect.stringContaining('--from') as string,
      }),
    );
  },
);
