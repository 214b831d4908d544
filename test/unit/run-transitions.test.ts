// The transition table of the run: every state × everything that can be asked of it or reported. A cell is what is appended, the code of the refusal,
// or `–` for nothing. The fold of what is appended is in the unit tests beside; here no cell is left to chance.
import { expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import type { RunCommand, RunEvent, RunStateName } from '#streams/run.ts';
import { answer, answered, ask, asked, expireApproval, withdraw } from '#test/support/approval-history.ts';
import {
  acknowledge,
  followUp,
  refuse,
  steerA,
  takeBack,
  tell,
  told,
} from '#test/support/command-history.ts';
import {
  cancel,
  cancelRequested,
  claim,
  claimed,
  completed,
  createData,
  created,
  expire,
  expired,
  finish,
  NOW,
  start,
  started,
} from '#test/support/run-history.ts';

const running = [created(), claimed(), started()];
/** Each history ends with a further turn and words that nobody was told of, unless it has ended. */
const extra: RunEvent[] = [told('turn'), told('steer', { commandSeq: 3, fence: null })];

const HISTORY: Readonly<Record<string, { readonly state: RunStateName; readonly events: RunEvent[] }>> = {
  queued: { state: 'queued', events: [created(), ...extra] },
  claimed: { state: 'claimed', events: [created(), claimed(), ...extra] },
  running: { state: 'running', events: [...running, ...extra] },
  held: { state: 'waiting', events: [...running, ...extra, asked('held')] },
  parked: { state: 'waiting', events: [...running, ...extra, asked('parked')] },
  resuming: {
    state: 'queued',
    events: [
      ...running,
      ...extra,
      asked('parked'),
      answered({ commandId: 'cmd_01HF3Z00000000000000000009' }),
    ],
  },
  cancelling: { state: 'cancelling', events: [...running, ...extra, cancelRequested] },
  completed: { state: 'completed', events: [...running, ...extra, completed] },
  failed: { state: 'failed', events: [created(), ...extra, claimed(), expired(1, 'failed')] },
  cancelled: { state: 'cancelled', events: [...running, ...extra, expired(1, 'cancelled')] },
};

const ASKED: Readonly<Record<string, RunCommand>> = {
  create: { kind: 'create', data: createData() },
  claim,
  'start-turn': start(),
  'finish: done': finish(),
  'finish: failed': finish(1, { outcome: 'failed' }),
  'finish: cancelled': finish(1, { outcome: 'cancelled' }),
  'expire-lease': expire(),
  cancel,
  'turn again': tell('turn'),
  'turn, new': tell('turn', { commandId: 'cmd_01HF3Z0000000000000000000N', hash: 'e'.repeat(64) }),
  'steer, new': tell('steer', { commandId: 'cmd_01HF3Z0000000000000000000N', hash: 'e'.repeat(64) }),
  interrupt: tell('interrupt'),
  'take back': takeBack(followUp),
  acknowledge: acknowledge(steerA),
  refuse: refuse(steerA),
  'ask: held': ask('held', { approvalId: 'apr_01HF3Z0000000000000000000Z' }),
  'ask: parked': ask('parked', { approvalId: 'apr_01HF3Z0000000000000000000Z' }),
  answer: answer(),
  'expire-approval': expireApproval,
  withdraw: withdraw(),
};

const STATES = Object.keys(HISTORY);
/** Columns in the order of {@link STATES}. */
const TABLE = `
                  | queued              | claimed            | running            | held               | parked              | resuming            | cancelling         | completed | failed    | cancelled
create            | –                   | –                  | –                  | –                  | –                   | –                   | –                  | –         | –         | –
claim             | claimed             | RUN_CLAIMED        | RUN_CLAIMED        | RUN_CLAIMED        | RUN_WAITING         | claimed             | RUN_CLAIMED        | RUN_ENDED | RUN_ENDED | RUN_CANCELLED
start-turn        | RUN_NOT_CLAIMED     | turn-started       | –                  | –                  | –                   | –                   | –                  | –         | RUN_FENCED | RUN_FENCED
finish: done      | RUN_NOT_CLAIMED     | turn-finished      | turn-finished      | turn-finished      | –                   | –                   | cancelled          | –         | RUN_FENCED | RUN_FENCED
finish: failed    | RUN_NOT_CLAIMED     | failed             | failed             | failed             | –                   | –                   | cancelled          | –         | RUN_FENCED | RUN_FENCED
finish: cancelled | RUN_NOT_CLAIMED     | cancelled          | cancelled          | cancelled          | –                   | –                   | cancelled          | –         | RUN_FENCED | RUN_FENCED
expire-lease      | RUN_NOT_CLAIMED     | lease-expired      | lease-expired      | lease-expired      | –                   | –                   | lease-expired      | –         | –         | –
cancel            | cancelled           | cancel-requested   | cancel-requested   | cancel-requested   | cancelled           | cancelled           | –                  | –         | –         | –
turn again        | –                   | –                  | –                  | –                  | –                   | –                   | –                  | –         | –         | –
turn, new         | command-created     | command-created    | command-created    | command-created    | command-created     | command-created     | RUN_CANCELLED      | RUN_ENDED | RUN_ENDED | RUN_CANCELLED
steer, new        | command-created     | command-created    | command-created    | command-created    | command-created     | command-created     | RUN_CANCELLED      | RUN_ENDED | RUN_ENDED | RUN_CANCELLED
interrupt         | RUN_NOT_RUNNING     | command-created    | command-created    | command-created    | RUN_NOT_RUNNING     | RUN_NOT_RUNNING     | RUN_CANCELLED      | RUN_ENDED | RUN_ENDED | RUN_CANCELLED
take back         | command-cancelled   | command-cancelled  | command-cancelled  | command-cancelled  | command-cancelled   | command-cancelled   | command-cancelled  | –         | –         | –
acknowledge       | RUN_NOT_CLAIMED     | command-acknowledged | command-acknowledged | command-acknowledged | RUN_FENCED     | RUN_FENCED          | command-acknowledged | –       | –         | –
refuse            | RUN_NOT_CLAIMED     | command-finished   | command-finished   | command-finished   | RUN_FENCED          | RUN_FENCED          | command-finished   | –         | –         | –
ask: held         | RUN_NOT_CLAIMED     | approval-asked     | approval-asked     | approval-asked     | RUN_FENCED          | RUN_FENCED          | RUN_CANCELLED      | RUN_FENCED | RUN_FENCED | RUN_FENCED
ask: parked       | RUN_NOT_CLAIMED     | approval-asked     | approval-asked     | approval-asked     | –                   | –                   | cancelled          | –         | RUN_FENCED | RUN_FENCED
answer            | APPROVAL_UNKNOWN    | APPROVAL_UNKNOWN   | APPROVAL_UNKNOWN   | approval-answered  | approval-answered   | APPROVAL_ANSWERED   | APPROVAL_UNKNOWN   | APPROVAL_UNKNOWN | APPROVAL_UNKNOWN | APPROVAL_UNKNOWN
expire-approval   | APPROVAL_UNKNOWN    | APPROVAL_UNKNOWN   | APPROVAL_UNKNOWN   | –                  | –                   | –                   | APPROVAL_UNKNOWN   | APPROVAL_UNKNOWN | APPROVAL_UNKNOWN | APPROVAL_UNKNOWN
withdraw          | RUN_NOT_CLAIMED     | APPROVAL_UNKNOWN   | APPROVAL_UNKNOWN   | approval-answered  | RUN_FENCED          | –                   | APPROVAL_UNKNOWN   | RUN_FENCED | RUN_FENCED | RUN_FENCED
`;

const CELLS = TABLE.trim()
  .split('\n')
  .map((row) => row.split('|').map((cell) => cell.trim()));

const cellOf = (state: string, what: string): string => {
  const run = fold(runDecider, HISTORY[state]?.events ?? []);
  const command = ASKED[what];
  if (command === undefined) return `unknown row ${what}`;
  const decision = runDecider.decide(command, run, { now: NOW });
  if (decision.kind === 'unchanged') return '–';
  if (decision.kind === 'rejected') return decision.rejection.code;
  return decision.event.type.replace(/^fleetlog\.run\.(.*)\.v1$/, '$1');
};

test('the histories of the table are in the states of its columns', () => {
  expect(CELLS[0]?.slice(1)).toEqual(STATES);
  for (const [name, { state, events }] of Object.entries(HISTORY))
    expect([name, fold(runDecider, events)?.state]).toEqual([name, state]);
});

test('ST-T2 ST-T3 ST-T4 ST-T5 ST-T10 HR-T4 HR-T5 HR-T14 the table has everything that can be asked', () => {
  expect(CELLS.slice(1).map(([what]) => what)).toEqual(Object.keys(ASKED));
  const kinds = new Set(Object.values(ASKED).map(({ kind }) => kind));
  expect(kinds.size).toBe(14);
});

test.each(CELLS.slice(1).map(([what = '', ...cells]) => ({ what, cells })))(
  'ST-T2 ST-T3 ST-T4 ST-T5 ST-T10 HR-T4 HR-T5 HR-T14 in every state: $what',
  ({ what, cells }) => {
    expect(Object.fromEntries(STATES.map((state) => [state, cellOf(state, what)]))).toEqual(
      Object.fromEntries(STATES.map((state, at) => [state, cells[at]])),
    );
  },
);
