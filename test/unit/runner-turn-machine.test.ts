// The turn of a run as a state machine: each rule, and its laws under any order of events.
import { array, assert, constantFrom, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TurnFacts } from '#services/runner/providers/turn-facts.ts';
import {
  INITIAL,
  step,
  type TurnEffect,
  type TurnEvent,
  type TurnState,
} from '#services/runner/turn-machine.policy.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const claim = { fence: 3, leaseMs: 30_000 };
const facts: TurnFacts = {
  closing: { outcome: 'done', summary: '', message: '' },
  exit: { code: 0, signal: null },
  startProblem: null,
  stopped: null,
  lastText: '',
  errorTail: '',
  usage: null,
  events: 0,
  leftovers: 0,
};

const granted: TurnEvent = { kind: 'claim-granted', claim, isRepeat: false };
const repeated: TurnEvent = { kind: 'claim-granted', claim, isRepeat: true };
const renewed: TurnEvent = { kind: 'renewed', cancelRequested: false };
const asksToCancel: TurnEvent = { kind: 'renewed', cancelRequested: true };
const ready: TurnEvent = { kind: 'workspace-ready' };
const programEnded: TurnEvent = { kind: 'program-ended', facts };
const on = (
  kind: Exclude<TurnEvent['kind'], 'claim-granted' | 'renewed' | 'workspace-failed' | 'program-ended'>,
): TurnEvent => ({ kind });

/** Plays events from the beginning; gives the last state and all effects. */
const play = (...events: readonly TurnEvent[]): { state: TurnState; effects: TurnEffect[] } => {
  let state = INITIAL;
  const effects: TurnEffect[] = [];
  for (const event of events) {
    const next = step(state, event);
    state = next.state;
    effects.push(...next.effects);
  }
  return { state, effects };
};
const kinds = (effects: readonly TurnEffect[]): string[] => effects.map(({ kind }) => kind);
const stops = (effects: readonly TurnEffect[]): unknown[] =>
  effects.flatMap((effect) => (effect.kind === 'stop' ? [[effect.reason, effect.isUrgent]] : []));

describe('a turn', () => {
  test('goes from claim to result, and keeps its lease until the result is delivered', () => {
    const done = play(granted, ready, renewed, programEnded, on('result-stored'));
    expect(kinds(done.effects)).toEqual(['prepare', 'start', 'finish']);
    expect(done.state).toEqual({ phase: 'delivering', claim });
    expect(step(done.state, on('result-delivered')).state).toEqual({ phase: 'over', end: 'reported' });
  });

  test('that is refused leaves the journal and does nothing', () => {
    expect(play(on('claim-refused'))).toEqual({
      state: { phase: 'over', end: 'refused' },
      effects: [{ kind: 'forget' }],
    });
  });

  test('a claim that was asked for before is confirmed before anything is done under it', () => {
    expect(kinds(play(repeated).effects)).toEqual(['confirm']);
    expect(kinds(play(repeated, renewed).effects)).toEqual(['confirm', 'prepare']);
    expect(play(repeated, on('renewal-refused')).state).toEqual({ phase: 'over', end: 'lost' });
  });

  test('whose workspace cannot be made ready is reported as failed without a start', () => {
    const { state, effects } = play(granted, { kind: 'workspace-failed', problem: 'no room' });
    expect(state.phase).toBe('finishing');
    expect(effects.at(-1)).toMatchObject({ kind: 'finish', facts: { startProblem: 'no room', exit: null } });
  });
});

describe('a cancel', () => {
  test.each([
    ['before the claim is answered', [on('cancel'), granted, ready]],
    ['while a repeated claim is confirmed', [repeated, on('cancel'), renewed, ready]],
    ['told by the renewal that confirms', [repeated, asksToCancel, ready]],
    ['while the workspace is made ready', [granted, on('cancel'), ready]],
  ])('WK-78 %s is honoured by not starting the program', (_, events) => {
    const { effects } = play(...events);
    expect(kinds(effects)).not.toContain('start');
    expect(effects.at(-1)).toMatchObject({ kind: 'finish', facts: { stopped: 'cancel' } });
  });

  test.each([on('cancel'), asksToCancel])('ends the program that runs, once', (event) => {
    const { effects } = play(granted, ready, event, event, on('cancel'));
    expect(stops(effects)).toEqual([['cancel', false]]);
  });
});

describe('a lease', () => {
  test('that is ending stops the work in time, and the result is told', () => {
    const { state, effects } = play(granted, ready, on('lease-ending'), programEnded);
    expect(stops(effects)).toEqual([['lease', true]]);
    expect(state.phase).toBe('finishing');
  });

  test('that ends while the program is being cancelled makes the end urgent', () => {
    expect(stops(play(granted, ready, on('cancel'), on('lease-ending')).effects)).toEqual([
      ['cancel', false],
      ['lease', true],
    ]);
  });

  test('WK-36 that is lost ends the program, and nothing is reported', () => {
    const { state, effects } = play(granted, ready, on('renewal-refused'), programEnded);
    expect(stops(effects)).toEqual([['lease', true]]);
    expect(kinds(effects)).toEqual(['prepare', 'start', 'stop', 'forget']);
    expect(state).toEqual({ phase: 'over', end: 'lost' });
  });

  test('that is lost after the result is on disk changes nothing', () => {
    const { state } = play(granted, ready, programEnded, on('result-stored'), on('renewal-refused'));
    expect(state).toEqual({ phase: 'over', end: 'reported' });
  });
});

describe('a shutdown', () => {
  test('leaves a claim under way to the next process, in the journal', () => {
    expect(play(on('shutdown'))).toEqual({ state: { phase: 'over', end: 'left' }, effects: [] });
    expect(kinds(play(repeated, on('shutdown')).effects)).toEqual(['confirm']);
  });

  test('ends the program, and the result is told', () => {
    const { state, effects } = play(granted, ready, on('shutdown'), programEnded);
    expect(stops(effects)).toEqual([['shutdown', false]]);
    expect(state.phase).toBe('finishing');
  });
});

test('in any order of events: at most one start and one finish, no start after a stop, silence once lost, and over is over', () => {
  const events = constantFrom<TurnEvent>(
    granted,
    repeated,
    on('claim-refused'),
    renewed,
    asksToCancel,
    on('renewal-refused'),
    on('lease-ending'),
    ready,
    { kind: 'workspace-failed', problem: 'x' },
    programEnded,
    on('result-stored'),
    on('result-delivered'),
    on('cancel'),
    on('shutdown'),
  );
  assert(
    property(array(events, { maxLength: 20 }), (sequence) => {
      const { state, effects } = play(...sequence);
      const order = kinds(effects);
      expect(order.filter((kind) => kind === 'start').length).toBeLessThanOrEqual(1);
      expect(order.filter((kind) => kind === 'finish' || kind === 'forget').length).toBeLessThanOrEqual(1);
      if (order.includes('stop')) expect(order.indexOf('stop')).toBeGreaterThan(order.indexOf('start'));
      if (order.includes('start')) expect(order.indexOf('prepare')).toBeLessThan(order.indexOf('start'));
      if (state.phase === 'over' && state.end === 'lost') expect(order).not.toContain('finish');
      if (state.phase === 'over')
        for (const one of sequence) expect(step(state, one)).toEqual({ state, effects: [] });
    }),
    propertyRuns(3000),
  );
});
