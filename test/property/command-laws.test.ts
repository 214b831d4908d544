// Laws of the commands of a run under any sequence of commands, reports and losses, sensible or not.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import { isOpen } from '#services/runs/run-commands.policy.ts';
import { isEnded, isHeld, type CommandRecord, type RunState } from '#services/runs/run-state.policy.ts';
import { foldRun, type RunSummary } from '#services/runs/run.view.ts';
import type { RunCommand, RunEvent } from '#streams/run.ts';
import { answer, ask } from '#test/support/approval-history.ts';
import { acknowledge, refuse, takeBack } from '#test/support/command-history.ts';
import {
  createData,
  expire,
  finish,
  nextCommand,
  NOW,
  result,
  start,
  turnA,
  turnB,
} from '#test/support/run-history.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const fence = fc.integer({ min: 1, max: 5 });
const turnId = fc.constantFrom(turnA, turnB);
const commandId = fc.constantFrom(
  ...'1BCDEFG'.split('').map((last) => `cmd_01HF3Z0000000000000000000${last}`),
);
const hash = fc.constantFrom('a'.repeat(64), 'b'.repeat(64));

const createArb = fc
  .record({
    commandId,
    commandType: fc.constantFrom('turn' as const, 'turn' as const, 'steer' as const, 'interrupt' as const),
    key: fc.option(fc.constantFrom('k1', 'k2', 'k3'), { freq: 4 }),
    hash,
    words: fc.boolean(),
    otherwise: fc.constantFrom('next-turn' as const, 'fail' as const),
  })
  .map(({ words, ...order }): RunCommand => ({
    kind: 'create-command',
    ...order,
    text: order.commandType === 'interrupt' && !words ? null : 'say',
  }));
const endArb = fc
  .tuple(fence, turnId, fc.constantFrom('done', 'blocked', 'failed', 'cancelled', 'lost'))
  .map(([held, turn, outcome]) => {
    if (outcome !== 'lost') return finish(held, result({ outcome: outcome as 'done' }), turn);
    const failure = { kind: 'runner-lost', message: 'gone' } as const;
    return finish(held, result({ outcome: 'failed', failure }), turn);
  });
/** The instruction that a claim follows is found when it is decided: see {@link live}. */
const claim: RunCommand = { kind: 'claim', agent: 'builder-1', runnerId: 'r1', commandId: nextCommand };
const commandArb: fc.Arbitrary<RunCommand> = fc.oneof(
  { weight: 8, arbitrary: fc.constant(claim) },
  { weight: 6, arbitrary: fc.tuple(fence, turnId).map(([held, turn]) => start(held, turn)) },
  { weight: 3, arbitrary: endArb },
  { weight: 1, arbitrary: fence.map(expire) },
  { weight: 12, arbitrary: createArb },
  { weight: 3, arbitrary: commandId.map(takeBack) },
  { weight: 4, arbitrary: fc.tuple(commandId, fence).map(([id, held]) => acknowledge(id, held)) },
  { weight: 3, arbitrary: fc.tuple(commandId, fence).map(([id, held]) => refuse(id, { fence: held })) },
  { weight: 1, arbitrary: fence.map((held) => ask('parked', { fence: held })) },
  { weight: 1, arbitrary: fc.constant(answer()) },
  { weight: 1, arbitrary: fc.constant<RunCommand>({ kind: 'cancel', reason: 'no' }) },
);

interface Step {
  readonly command: RunCommand;
  readonly before: RunState;
  readonly event: RunEvent | undefined;
  readonly after: RunState;
}
const create: RunCommand = { kind: 'create', data: createData({ maxAttempts: 3 }) };

/** Claims follow the instruction that is due, and half of the reports are the holder's, as those of runners are. */
const inPlace = (asked: RunCommand, before: RunState): RunCommand => {
  if (asked.kind === 'claim') return { ...asked, commandId: before?.commandId };
  if (!('fence' in asked) || asked.fence < 3) return asked;
  const held = before?.claims ?? 0;
  return { ...asked, fence: held === 0 ? 1 : held };
};

const live = (life: readonly RunCommand[]): Step[] => {
  let state: RunState = runDecider.initial;
  return [create, ...life].map((asked) => {
    const before = state;
    const command = inPlace(asked, before);
    const decision = runDecider.decide(command, before, { now: NOW });
    const event = decision.kind === 'accepted' ? decision.event : undefined;
    if (event !== undefined) state = runDecider.evolve(before, event);
    return { command, before, event, after: state };
  });
};
const eventsOf = (steps: readonly Step[]): RunEvent[] =>
  steps.flatMap(({ event }) => (event === undefined ? [] : [event]));
const law = (check: (steps: readonly Step[]) => void): void => {
  fc.assert(
    fc.property(fc.array(commandArb, { maxLength: 60 }), (life) => check(live(life))),
    propertyRuns(400),
  );
};
const find = (state: RunState, id: string): CommandRecord | undefined =>
  state?.commands.find((command) => command.commandId === id);

test('the lives of these laws have every kind of event in them', () => {
  const seen = new Set<string>();
  // Fixed: whether rare events come is not for chance to say.
  const lives = fc.sample(fc.array(commandArb, { maxLength: 60 }), { seed: 4711, numRuns: 500 });
  for (const life of lives) for (const { type } of eventsOf(live(life))) seen.add(type);
  for (const type of ['turn-finished', 'command-acknowledged', 'command-finished', 'command-cancelled'])
    expect(seen).toContain(`fleetlog.run.${type}.v1`);
});

test('the fold of the events is the live state, and nothing is appended after the end', () => {
  law((steps) => {
    expect(fold(runDecider, eventsOf(steps))).toEqual(steps.at(-1)?.after);
    for (const { before, event } of steps)
      if (before !== undefined && isEnded(before.state)) expect(event).toBeUndefined();
  });
});

test('WK-56 an ended run has no open command, and the end names each that it closed besides its turn', () => {
  law((steps) => {
    for (const { before, event, after } of steps) {
      if (before === undefined || event === undefined || after === undefined || !isEnded(after.state))
        continue;
      expect(after.commands.filter(isOpen)).toEqual([]);
      const open = before.commands.filter(isOpen).map(({ commandId: id }) => id);
      const named = 'commandsClosed' in event ? (event.commandsClosed ?? []) : [];
      expect(named.map(({ commandId: id }) => id)).toEqual(open.filter((id) => id !== before.turnCommandId));
    }
  });
});

test('ST-T10 the first end of a command counts', () => {
  law((steps) => {
    for (const { before, after } of steps)
      for (const { commandId: id, state } of before?.commands ?? [])
        if (!isOpen({ state })) expect(find(after, id)?.state).toBe(state);
  });
});

test('ST-17 WK-46 commands are numbered without gaps, and no key or id is there twice', () => {
  law((steps) => {
    const commands = steps.at(-1)?.after?.commands ?? [];
    expect(commands.map(({ seq }) => seq)).toEqual(commands.map((_, at) => at + 1));
    const keys = commands.flatMap(({ key }) => (key === null ? [] : [key]));
    expect(new Set(keys).size).toBe(keys.length);
    expect(new Set(commands.map(({ commandId: id }) => id)).size).toBe(commands.length);
  });
});

test('WK-53 what was accepted once is known for ever, whatever has become of the run', () => {
  law((steps) => {
    const end = steps.at(-1)?.after;
    for (const { command, event } of steps) {
      if (event === undefined || command.kind !== 'create-command') continue;
      expect(runDecider.decide(command, end, { now: NOW })).toEqual({ kind: 'unchanged' });
      const other = { ...command, hash: 'f'.repeat(64) };
      expect(runDecider.decide(other, end, { now: NOW })).toMatchObject({
        rejection: { code: 'RUN_COMMAND_CONFLICTING' },
      });
    }
  });
});

test('a run that is held has its turn in hand, one that waits for a runner has none, and never are there two', () => {
  law((steps) => {
    for (const { after } of steps) {
      if (after === undefined) continue;
      const inHand = after.commands.filter(({ type, state }) => type === 'turn' && state === 'acknowledged');
      expect(inHand.filter(({ commandId: id }) => id !== after.turnCommandId)).toEqual([]);
      const turn = find(after, after.turnCommandId);
      if (isHeld(after)) expect(turn).toMatchObject({ state: 'acknowledged', fence: after.claims });
      // With answers to go on with, its turn is still under way.
      else if (after.state === 'queued' && after.resume.length === 0) expect(turn?.state).toBe('pending');
    }
  });
});

test('each command is done as one turn at most', () => {
  law((steps) => {
    const turns = eventsOf(steps).flatMap((event) =>
      event.type === 'fleetlog.run.turn-finished.v1' ? [event.turnCommandId] : [],
    );
    expect(new Set(turns).size).toBe(turns.length);
  });
});

test('WK-52 the summary shows each command as the aggregate has it', () => {
  const boundary = { tenant: 'local', project: 'main' };
  law((steps) => {
    let view: RunSummary | undefined;
    for (const event of eventsOf(steps)) view = foldRun(view, { boundary, event });
    const run = steps.at(-1)?.after;
    const shown = (view?.commands ?? []).map(({ commandId: id, seq, type, state }) => ({
      id,
      seq,
      type,
      state,
    }));
    expect(shown).toEqual(
      (run?.commands ?? []).map(({ commandId: id, seq, type, state }) => ({ id, seq, type, state })),
    );
    expect(view).toMatchObject({ state: run?.state, turnCommandId: run?.turnCommandId });
    for (const { state, endedAt } of view?.commands ?? []) expect(endedAt === null).toBe(isOpen({ state }));
  });
});
