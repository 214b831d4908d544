// Whether a run may be created in a session, by whatever way it is asked for: one rule, on ports in memory.
import { expect, test } from 'vitest';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { createSessionCheck } from '#services/runs/session-check.ts';
import { viewKey } from '#streams/buckets.ts';
import { topologyOf } from '#streams/consumers.ts';
import { jsonBytes } from '#streams/entry.ts';
import { encodeSessionEvent } from '#streams/session-codec.ts';
import type { Boundary } from '#streams/subjects.ts';
import { openedByRun, OWNER, SESSION_ID } from '#test/support/session-history.ts';

const HERE: Boundary = { tenant: OWNER.tenant, project: OWNER.project };
const NOW = 1_763_712_000_000;
const task = { taskId: 'tsk_01HF3Z0000000000000000000T', attempt: 1 };
const asked = { sessionId: SESSION_ID, agent: OWNER.agent, provider: OWNER.provider };

const world = () => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const broker = createMemoryBroker({ clock, ids, topology: topologyOf({ replicas: 1, agents: [] }) });
  const log = broker.eventLog('TRANSITIONS');
  const summaries = broker.keyValue('sessions');
  const check = createSessionCheck(log, summaries);
  return {
    codeOf: async (request: Partial<Parameters<typeof check>[1]>, boundary = HERE) =>
      (await check(boundary, { ...asked, ...request }))?.code,
    open: async (): Promise<void> => {
      const meta = { boundary: HERE, id: 's1', source: '/test', timeMs: NOW, actor: 'user:anna' };
      await log.append({ ...encodeSessionEvent(openedByRun, meta), expectedSeq: 0 });
    },
    show: async (): Promise<void> =>
      void (await summaries.put(viewKey(HERE, SESSION_ID), jsonBytes({ seq: 1 }))),
  };
};

test('a session that nobody knows is refused, but to a request that says it may open it', async () => {
  const { codeOf } = world();
  expect(await codeOf({})).toBe('SESSION_UNKNOWN');
  expect(await codeOf({ mayOpenSession: false })).toBe('SESSION_UNKNOWN');
  expect(await codeOf({ mayOpenSession: true })).toBeUndefined();
});

test('a session whose first run is there is known before it is opened', async () => {
  const { codeOf, show } = world();
  await show();
  expect(await codeOf({})).toBeUndefined();
});

test('an open session takes the runs of its agent and provider, and of nobody else, whoever says what', async () => {
  const { codeOf, open } = world();
  await open();
  expect(await codeOf({})).toBeUndefined();
  for (const mayOpenSession of [true, false]) {
    expect(await codeOf({ agent: 'other', mayOpenSession })).toBe('SESSION_FOREIGN');
    expect(await codeOf({ provider: 'codex', mayOpenSession })).toBe('SESSION_OTHER_PROVIDER');
  }
});

test('the attempt of a task that names a session is judged as any run is; one with a session of its own needs no look', async () => {
  const { codeOf, open } = world();
  expect(await codeOf({ task })).toBe('SESSION_UNKNOWN');
  expect(await codeOf({ task, mayOpenSession: true })).toBeUndefined();
  await open();
  expect(await codeOf({ task })).toBeUndefined();
  expect(await codeOf({ task, agent: 'other' })).toBe('SESSION_FOREIGN');
});

test('a session of another tenant or project is not known here', async () => {
  const { codeOf, open } = world();
  await open();
  for (const there of [
    { ...HERE, tenant: 'other' },
    { ...HERE, project: 'other' },
  ])
    expect(await codeOf({}, there)).toBe('SESSION_UNKNOWN');
});
