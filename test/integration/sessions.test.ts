// Sessions and runs on a real broker: what opens a session, whose it stays, what programs and keepers of storage say of it, what the
// collector gives up, and cursors that two readers' tools move at the same time.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { viewKey } from '#streams/buckets.ts';
import { cursorKey, cursorSchema } from '#streams/session-view.ts';
import { parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import type { SessionRequestOf } from '#streams/session-requests.ts';
import { encodeSessionEvent } from '#streams/session-codec.ts';
import type { SessionStorage } from '#streams/session.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { createRun, runRequest } from '#test/support/run-facts.ts';
import { ask, claimTurn, done, transition, turnInstruction } from '#test/support/scripted-runner.ts';
import { askSessions, sessionEvent, sessionTypes, shownSession } from '#test/support/session-facts.ts';

let broker: FreshBroker;
let one: ControlPlane;
let two: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, ['builder-1', 'builder-2']);
  const services = [runs, sessions];
  const config = { sessions: { collectMs: 3_600_000 } };
  one = await startControlPlane({ broker, services, config });
  two = await startControlPlane({ broker, services, config });
});
afterAll(async () => {
  await Promise.all([one.stop(), two.stop()]);
  await broker[Symbol.asyncDispose]();
});

const newSession = (): string => makeId('session', systemIds.ulid());
const actor = 'user:test';
let requests = 0;
const requestId = (): string => `r${(requests += 1)}`;

const upsert = (sessionId: string, more: Partial<SessionRequestOf<'upsert'>> = {}) => ({
  sessionId,
  agent: 'builder-1',
  provider: 'exec' as const,
  details: {},
  requestId: requestId(),
  actor,
  ...more,
});
const volume: SessionStorage = { kind: 'volume', name: 'vol-1', bytes: 4096, files: 3, sha256: null };

/** A session whose time is over, with storage. */
const expired = async (name = 'vol-1'): Promise<string> => {
  const sessionId = newSession();
  await askSessions(one.ports, 'upsert', upsert(sessionId, { details: { expiresAt: 1 } }));
  const asked = { sessionId, storage: { ...volume, name }, requestId: requestId(), actor };
  const stored = await askSessions(one.ports, 'store', asked);
  await shownSession(one.ports, sessionId, (stored as { result: { seq: number } }).result.seq);
  return sessionId;
};

test('ST-T11 ST-T12 ST-T13 WK-52 a first run opens a session once; overlapping runs are a set, and one that ends leaves the other', async () => {
  const { ports } = one;
  const sessionId = newSession();
  const [first, second] = [await createRun(ports, { sessionId }), await createRun(two.ports, { sessionId })];
  const { runId } = (await sessionEvent(ports, sessionId, 'fleetlog.session.opened.v1')) as { runId: string };
  expect([first, second]).toContain(runId);
  const turn = await claimTurn(ports, await turnInstruction(ports, first));
  await turn.finished();
  const { seq } = await transition(ports, first, 'fleetlog.run.completed.v1');
  const view = await shownSession(ports, sessionId, seq);
  expect(view).toMatchObject({ activeRuns: [second], runs: 2, lastOutcome: 'completed', version: seq });
  expect(await sessionTypes(ports, sessionId)).toEqual(['opened']);
});

test('ST-40 a claim and a start move no version, the end of the turn does', async () => {
  const { ports } = one;
  const sessionId = newSession();
  const runId = await createRun(ports, { sessionId });
  const created = await transition(ports, runId, 'fleetlog.run.created.v1');
  const versions: number[] = [];
  const over = new AbortController();
  const key = viewKey(BOUNDARY, sessionId);
  const watching = (async () => {
    for await (const event of ports.bucket('sessions').watch({ keys: [key], signal: over.signal }))
      if (event.kind === 'put') versions.push((parseJson(event.entry.value) as { version: number }).version);
  })();
  const turn = await claimTurn(ports, await turnInstruction(ports, runId));
  await turn.finished();
  const { seq } = await transition(ports, runId, 'fleetlog.run.completed.v1');
  const view = await shownSession(ports, sessionId, seq);
  expect(view).toMatchObject({ seq, version: seq });
  over.abort();
  await watching;
  expect([created.seq, seq]).toEqual(expect.arrayContaining([...new Set(versions)]));
});

test('ST-41 WK-50 what a program says of its conversation is bound to the session, and drops no storage', async () => {
  const { ports } = one;
  const sessionId = newSession();
  const runId = await createRun(ports, { sessionId });
  const turn = await claimTurn(ports, await turnInstruction(ports, runId));
  const about = { runId, sessionId, turnId: turn.turnId };
  await askSessions(ports, 'upsert', upsert(sessionId));
  await askSessions(ports, 'store', { sessionId, storage: volume, requestId: requestId(), actor });
  await turn.report('session-bound', { ...about, providerSessionId: 'p-1', requested: null });
  const { seq } = await sessionEvent(ports, sessionId, 'fleetlog.session.updated.v1');
  const view = await shownSession(ports, sessionId, seq);
  expect(view).toMatchObject({ providerSessionId: 'p-1', storage: { name: 'vol-1', evictedAt: null } });
});

test('ER-07 ER-08 a run of another agent, or with another provider, is refused by its owner as by the gateway', async () => {
  const { ports } = one;
  const sessionId = newSession();
  await askSessions(ports, 'upsert', upsert(sessionId));
  const asked = (changes: object) => ask(ports, 'create', runRequest({ sessionId, ...changes }));
  expect(await asked({ agent: 'builder-2' })).toMatchObject({ outcome: 'refused', code: 'SESSION_FOREIGN' });
  expect(await asked({ provider: 'claude' })).toMatchObject({
    outcome: 'refused',
    code: 'SESSION_OTHER_PROVIDER',
    detail: { existing: 'exec', requested: 'claude' },
  });
  expect(await asked({})).toMatchObject({ outcome: 'ok' });
});

test('a run that was created all the same in the session of another agent is turned away, and so is one with another provider', async () => {
  const { ports } = one;
  const sessionId = newSession();
  await askSessions(ports, 'upsert', upsert(sessionId));
  // Of attempts the owner of runs does not look whose session it is.
  const task = { taskId: makeId('task', systemIds.ulid()), attempt: 1 };
  const foreign = await createRun(ports, { sessionId, agent: 'builder-2', task });
  const other = await createRun(ports, { sessionId, provider: 'claude', task });
  for (const runId of [foreign, other]) {
    const cancelled = await transition(ports, runId, 'fleetlog.run.cancelled.v1');
    expect(cancelled.reason).toContain(sessionId);
  }
});

test('ST-42 ER-07 ER-08 WK-51 an upsert crosses neither agent nor provider, and another tenant has a session of its own at most', async () => {
  const { ports } = one;
  const sessionId = newSession();
  const first = upsert(sessionId, { details: { title: 'Cart', metadata: { area: 'cart' } } });
  expect(await askSessions(ports, 'upsert', first)).toMatchObject({ result: { repeated: false } });
  expect(await askSessions(two.ports, 'upsert', first)).toMatchObject({ result: { repeated: true } });
  expect(await askSessions(ports, 'upsert', upsert(sessionId, { agent: 'builder-2' }))).toMatchObject({
    code: 'SESSION_FOREIGN',
  });
  expect(await askSessions(ports, 'upsert', upsert(sessionId, { provider: 'codex' }))).toMatchObject({
    code: 'SESSION_OTHER_PROVIDER',
  });
  const elsewhere = { tenant: 'other', project: 'main' };
  const there = { sessionId, storage: volume, requestId: requestId(), actor };
  expect(await askSessions(ports, 'store', there, elsewhere)).toMatchObject({ code: 'SESSION_UNKNOWN' });
  expect(await sessionTypes(ports, sessionId)).toEqual(['opened']);
});

test('ST-47 ST-48 WK-57 what has expired is given up once, by whichever collector; active and current storage stay', async () => {
  const { ports } = one;
  const idle = await expired('vol-idle');
  const busy = await expired('vol-busy');
  const runId = await createRun(ports, { sessionId: busy });
  const { seq } = await transition(ports, runId, 'fleetlog.run.created.v1');
  await shownSession(ports, busy, seq);
  const named = { sessionId: busy, name: 'vol-busy', reason: 'full', requestId: requestId(), actor };
  expect(await askSessions(ports, 'evict', named)).toMatchObject({ code: 'SESSION_ACTIVE' });
  const collect = () => askSessions(ports, 'collect', { isTrial: false, actor });
  const rounds = await Promise.all([collect(), askSessions(two.ports, 'collect', { isTrial: false, actor })]);
  await sessionEvent(ports, idle, 'fleetlog.session.evicted.v1');
  expect(JSON.stringify(rounds)).toContain(idle);
  expect(JSON.stringify(rounds)).not.toContain(busy);
  expect(await sessionTypes(ports, idle)).toEqual(['opened', 'stored', 'eviction-asked', 'evicted']);
  expect(await sessionTypes(ports, busy)).toEqual(['opened', 'stored']);
  const turn = await claimTurn(ports, await turnInstruction(ports, runId));
  await turn.finished(done);
  const ended = await transition(ports, runId, 'fleetlog.run.completed.v1');
  await shownSession(ports, busy, ended.seq);
  const old = { ...named, name: 'vol-old', requestId: requestId() };
  expect(await askSessions(ports, 'evict', old)).toMatchObject({ code: 'SESSION_STORAGE_CHANGED' });
  expect(await askSessions(ports, 'evict', named)).toMatchObject({ outcome: 'ok' });
});

test('WK-57 a run that is just beginning keeps its storage: what came first in the log counts, not what a summary had seen', async () => {
  const ends = await Promise.all(
    Array.from({ length: 12 }, async (_, n) => {
      const sessionId = await expired(`vol-race-${n}`);
      const named = { sessionId, name: `vol-race-${n}`, reason: 'full', requestId: requestId(), actor };
      const [runId, evicted] = await Promise.all([
        createRun(one.ports, { sessionId }),
        askSessions(two.ports, 'evict', named),
      ]);
      const created = await transition(one.ports, runId, 'fleetlog.run.created.v1');
      const types = await sessionTypes(one.ports, sessionId);
      if (!types.includes('eviction-asked')) {
        // The summary was fast enough to tell without asking.
        expect(evicted).toMatchObject({ code: 'SESSION_ACTIVE' });
        return 'told';
      }
      const asked = await sessionEvent(one.ports, sessionId, 'fleetlog.session.eviction-asked.v1');
      const isFirst = asked.seq < created.seq;
      expect(types.at(-1)).toBe(isFirst ? 'evicted' : 'eviction-refused');
      expect(evicted).toMatchObject(isFirst ? { outcome: 'ok' } : { code: 'SESSION_ACTIVE' });
      return 'settled';
    }),
  );
  expect(ends).toHaveLength(12);
});

test('WK-57 an eviction whose asker died is settled by the next round, as it was where it was asked for', async () => {
  const { ports } = one;
  const free = await expired('vol-free');
  const busy = await expired('vol-busy-2');
  const runId = await createRun(ports, { sessionId: busy });
  await transition(ports, runId, 'fleetlog.run.created.v1');
  const ask = async (sessionId: string, name: string): Promise<number> => {
    const about = { sessionId, ...BOUNDARY, agent: 'builder-1', provider: 'exec' as const };
    const type = 'fleetlog.session.eviction-asked.v1' as const;
    const event = {
      type,
      ...about,
      kind: 'volume',
      name,
      reason: 'full',
      evictionId: `${sessionId}.e`,
      askedAt: 1,
    };
    const meta = {
      boundary: BOUNDARY,
      id: `${sessionId}.e`,
      source: '/test',
      timeMs: 1,
      actor,
      correlation: sessionId,
    };
    const outcome = await ports.log('TRANSITIONS').append(encodeSessionEvent(event, meta));
    return outcome.kind === 'appended' ? outcome.seq : 0;
  };
  for (const [sessionId, name] of [
    [free, 'vol-free'],
    [busy, 'vol-busy-2'],
  ] as const)
    await shownSession(ports, sessionId, await ask(sessionId, name));
  // The run of the one ends, another begins in the other: both come after.
  await createRun(ports, { sessionId: free });
  const turn = await claimTurn(ports, await turnInstruction(ports, runId));
  await turn.finished(done);
  await askSessions(ports, 'collect', { isTrial: false, actor });
  await sessionEvent(ports, free, 'fleetlog.session.evicted.v1');
  await sessionEvent(ports, busy, 'fleetlog.session.eviction-refused.v1');
});

test('the collector loop of one instance gives up what has expired, and hands its lease on when it stops', async () => {
  const config = { sessions: { collectMs: 1000 } };
  await Promise.all([one.stop(), two.stop()]);
  const services = [runs, sessions];
  one = await startControlPlane({ broker, services, config });
  const first = await expired('vol-loop-1');
  await sessionEvent(one.ports, first, 'fleetlog.session.evicted.v1');
  two = await startControlPlane({ broker, services, config });
  await one.stop();
  one = await startControlPlane({ broker, services, config: { sessions: { collectMs: 3_600_000 } } });
  const second = await expired('vol-loop-2');
  await sessionEvent(two.ports, second, 'fleetlog.session.evicted.v1');
});

test('ST-39 ST-54 WK-59 a cursor moves only forward, whoever is faster', async () => {
  const { ports } = one;
  const id = newSession();
  const markRead = (version: number, from = ports) =>
    askSessions(from, 'mark-read', { of: { kind: 'session', id }, reader: 'anna', version });
  await Promise.all([7, 3, 9, 5].map((version, at) => markRead(version, at % 2 === 0 ? ports : two.ports)));
  expect(await markRead(4)).toMatchObject({ result: { version: 9, moved: false } });
  const key = cursorKey(BOUNDARY, { kind: 'session', reader: 'anna', id });
  const stored = await ports.bucket('cursors').get(key);
  expect(cursorSchema.parse(parseJson(stored?.value ?? new Uint8Array())).seq).toBe(9);
  const task = makeId('task', systemIds.ulid());
  const asked = { of: { kind: 'task', id: task }, reader: 'anna', version: 2 } as const;
  expect(await askSessions(ports, 'mark-read', asked)).toMatchObject({ result: { version: 2, moved: true } });
});
