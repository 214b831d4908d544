// Which streams a tail or a replay reads.
import { expect, test } from 'vitest';
import { chooseStreams, filtersOverlap } from '#services/cli/stream-choice.ts';
import { aggregateFilter, typedFilter } from '#streams/subjects.ts';

const RUN = 'run_01JD0000000000000000000000';

test('nothing asked for: every stream but the schedules, whole', () => {
  expect(chooseStreams({}).map(({ stream }) => stream)).toEqual([
    'EVENTS',
    'COMMANDS',
    'TRANSITIONS',
    'MESSAGES',
    'DEADLETTERS',
  ]);
  expect(chooseStreams({}).every(({ subjects }) => subjects.length === 0)).toBe(true);
});

test('a filter chooses the streams that can have it', () => {
  expect(chooseStreams({ subject: ['fleet.*.*.run.*.*'] })).toEqual([
    { stream: 'TRANSITIONS', subjects: ['fleet.*.*.run.*.*'] },
  ]);
  expect(chooseStreams({ subject: ['fleet.>'] }).map(({ stream }) => stream)).toContain('TIMERS');
});

test('an agent is its reports, its instructions and its mail, a run is its transitions', () => {
  expect(chooseStreams({ agent: 'builder-1', run: RUN })).toEqual([
    { stream: 'EVENTS', subjects: [typedFilter('evt', { id: 'builder-1' })] },
    { stream: 'COMMANDS', subjects: [typedFilter('cmd', { id: 'builder-1' })] },
    { stream: 'MESSAGES', subjects: [typedFilter('msg', { id: 'builder-1' })] },
    { stream: 'TRANSITIONS', subjects: [aggregateFilter('run', { id: RUN })] },
  ]);
});

test('a stream is named in any case, and an unknown one is refused with those there are', () => {
  expect(chooseStreams({ stream: ['events'] })).toEqual([{ stream: 'EVENTS', subjects: [] }]);
  expect(() => chooseStreams({ stream: ['EVENT'] })).toThrow(/no such stream; there are EVENTS, COMMANDS/);
});

test('a filter that no stream has is refused', () => {
  expect(() => chooseStreams({ subject: ['fleet.a.b'] })).toThrow(/no stream has such subjects/);
  expect(() => chooseStreams({ stream: ['EVENTS'], run: RUN })).toThrow(/no stream has such subjects/);
});

test.each([
  ['a.b', 'a.b', true],
  ['a.*', 'a.b', true],
  ['a.>', 'a.b.c', true],
  ['a.>', 'a', false],
  ['a.b', 'a.c', false],
  ['a.b', 'a.b.c', false],
  ['*.c.>', 'a.*.d', true],
])('%s and %s overlap: %s', (left, right, expected) => {
  expect(filtersOverlap(left, right)).toBe(expected);
  expect(filtersOverlap(right, left)).toBe(expected);
});
