// What of a dead runner's log is told: what explains an end, whole lines, and not how it was set up.
import { expect, test } from 'vitest';
import { telling } from '#services/host/last-words.policy.ts';

const line = (level: string, message: string, more = {}): string =>
  JSON.stringify({ level, message, ...more });

test('warnings and errors in words, and what is no log, as it stands', () => {
  const log = [
    line('info', 'process starts', { config: { secrets: 'many settings' } }),
    line('warn', 'broker connection'),
    line('fatal', 'the runner cannot go on', { error: { message: 'the disk is gone' } }),
    'Error: no such file',
    '    at open (node:fs:1)',
    '',
  ].join('\n');
  expect(telling(log, { isWhole: true }).split('\n')).toEqual([
    'broker connection',
    'the runner cannot go on: the disk is gone',
    'Error: no such file',
    'at open (node:fs:1)',
  ]);
});

test('nothing, where it said nothing but that all was well', () => {
  expect(telling(`${line('info', 'all services have started')}\n`, { isWhole: true })).toBe('');
  expect(telling('', { isWhole: true })).toBe('');
});

test('a line that was cut at its beginning is left out, one that is cut at its end is told', () => {
  expect(telling(`"message":"process starts"}\n${line('error', 'full')}`, { isWhole: false })).toBe('full');
  expect(telling('{"level":"fatal","mess', { isWhole: true })).toBe('{"level":"fatal","mess');
  expect(telling('x\n'.repeat(100), { isWhole: true }).split('\n')).toHaveLength(8);
});
