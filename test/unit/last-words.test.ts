// What of a dead runner's log is told: what explains an end, whole lines, and not how it was set up.
import { expect, test } from 'vitest';
import { telling } from '#services/host/last-words.policy.ts';

const line = (level: string, message: string, more = {}): string =>
  JSON.stringify({ level, message, ...more });

test('warnings and errors in words, and what is no log, as it stands', () => {
  const log = [
    line('info', 'process starts', { config: { secrets: 'many settings' } }),
    line('warn', 'cleared up after an earlier process'),
    line('fatal', 'the runner cannot go on', { error: { message: 'the disk is gone' } }),
    'Error: no such file',
    '    at open (node:fs:1)',
    '',
  ].join('\n');
  expect(telling(log, { isWhole: true }).split('\n')).toEqual([
    'cleared up after an earlier process',
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

const AWAY = 'the broker does not answer: trying to connect again';
const at = (second: number) => ({ time: `2026-11-30T10:00:${String(second).padStart(2, '0')}.000Z` });

test('what is over by then explains no end: an outage that has ended, a complaint of more than a minute ago', () => {
  const away = line('warn', AWAY, { ...at(1), kind: 'disconnected' });
  const back = line('info', 'connected to the broker again', { ...at(3), kind: 'reconnected' });
  const refused = line('warn', 'a request was refused', at(2));
  expect(telling([away, refused].join('\n'), { isWhole: true })).toBe(`${AWAY}\na request was refused`);
  expect(telling([away, refused, back].join('\n'), { isWhole: true })).toBe('a request was refused');
  const later = line('info', 'a turn has ended', { time: '2026-11-30T10:01:03.000Z' });
  expect(telling([away, refused, later].join('\n'), { isWhole: true })).toBe('');
});

test('that it was told to end, by which signal, and what then went wrong', () => {
  const told = line('info', 'draining; a second signal ends the process at once', {
    ...at(1),
    signal: 'SIGTERM',
  });
  const closed = line('info', 'the connection to the broker is closed', { ...at(2), kind: 'closed' });
  expect(telling([told, closed].join('\n'), { isWhole: true })).toBe('it was told to end (SIGTERM)');
  const late = line('error', 'drained, but not everything stopped in time', at(3));
  expect(telling([told, late].join('\n'), { isWhole: true })).toBe(
    'it was told to end (SIGTERM)\ndrained, but not everything stopped in time',
  );
});
