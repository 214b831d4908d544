// What a person and a program see of results and errors.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import { messageLine } from '#services/cli/feed-line.ts';
import { entryLine, entryObject } from '#services/cli/entry-line.ts';
import { recordedTerminal } from '#test/support/recorded-terminal.ts';
import { ago, exitCodeOf, printError, table } from '#services/cli/output.ts';

test('an error is one line with its code on standard error, or one JSON object on standard output', () => {
  const fault = new Fault({ code: 'RUN_UNKNOWN', retry: 'never', message: 'no such run' });
  const people = recordedTerminal();
  expect(printError(people.terminal, fault, false)).toBe(1);
  expect(people).toMatchObject({ out: [], note: ['error RUN_UNKNOWN: no such run'] });
  const program = recordedTerminal();
  printError(program.terminal, fault, true);
  expect(JSON.parse(program.out.join(''))).toMatchObject({ error: { code: 'RUN_UNKNOWN', retry: 'never' } });
  expect(program.note).toEqual([]);
});

test('exit codes tell wrong usage and an unreachable stack from the rest', () => {
  const code = (name: string) => exitCodeOf(new Fault({ code: name, retry: 'never', message: '' }));
  expect([code('ARGUMENT_INVALID'), code('API_UNREACHABLE'), code('RUN_ENDED')]).toEqual([2, 3, 1]);
  const parsed = z.object({ a: z.string() }).safeParse({});
  expect(printError(recordedTerminal().terminal, parsed.error, false)).toBe(2);
});

test('a table is as wide as its cells and has no trailing blanks', () => {
  expect(table(['A', 'LONGER'], [['xyz', '1']])).toBe('A    LONGER\nxyz  1');
});

test.each([
  [0, '0 s'],
  [119_000, '119 s'],
  [600_000, '10 min'],
  [10_800_000, '3 h'],
  [864_000_000, '10 d'],
])('%i ms ago is %s', (ms, text) => {
  expect(ago(1_000_000_000 - ms, 1_000_000_000)).toBe(text);
});

test('an entry that cannot be read is shown with what is wrong, never dropped', () => {
  const entry = {
    stream: 'EVENTS',
    seq: 7,
    storedAt: 0,
    subject: 'nonsense',
    headers: {},
    body: new Uint8Array([0xff]),
  };
  expect(entryLine(entry)).toContain('unreadable: subject nonsense');
  expect(entryObject(entry)).toMatchObject({
    seq: 7,
    dataBase64: '/w==',
    problem: expect.any(String) as string,
  });
});

test('a message of the live stream is a line; one that is none of ours is shown as it came', () => {
  const data = JSON.stringify({
    stream: 'EVENTS',
    seq: 4,
    storedAt: 3_723_004,
    subject: 'fleet.a.b.evt.3.builder-1.text',
    type: 'fleetlog.turn.text.v1',
    data: { text: 'hello\n  there' },
  });
  const line = messageLine({ event: 'entry', text: data });
  expect(line).toMatch(/^01:02:03\.004Z EVENTS\s+4\s+builder-1\s+turn\.text\s+hello there$/);
  expect(messageLine({ event: 'gone', text: 'x' })).toBe('gone: x');
  expect(messageLine({ event: 'live', text: '{}' })).toBeUndefined();
});
