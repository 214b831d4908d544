// Sessions and what readers have seen, over HTTP and on the command line: lists by attention, changes, record and output in pages, marks
// that move only forward, storage, and the counts of tasks.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gateway } from '#services/gateway/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { makeId } from '#streams/ids.ts';
import { systemIds } from '#libs/system/ids.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { gatewayCli } from '#test/support/gateway-cli.ts';
import { createRun } from '#test/support/run-facts.ts';
import { transition } from '#test/support/scripted-runner.ts';
import { finishedRun, talkativeRun } from '#test/support/session-facts.ts';

let broker: FreshBroker;
let plane: ControlPlane;
let cli: ReturnType<typeof gatewayCli>;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, ['builder-1', 'builder-2']);
  const config = { gateway: { port: 0, agents: ['builder-1', 'builder-2'] } };
  plane = await startControlPlane({ broker, services: [runs, sessions, tasks, gateway], config });
  cli = gatewayCli({ apiUrl: plane.url(), natsUrl: broker.url });
});
afterAll(async () => {
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

type Json = Record<string, unknown>;
type Listed = Json & { readonly sessionId: string; readonly version: number; readonly seq: number };

const call = async (path: string, body?: Json): Promise<{ readonly status: number; readonly body: Json }> => {
  const response = await fetch(
    plane.url() + path,
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
  );
  return { status: response.status, body: (await response.json()) as Json };
};
const newSession = (): string => makeId('session', systemIds.ulid());
const listed = async (query: string): Promise<readonly string[]> =>
  ((await call(`/api/v1/sessions?${query}`)).body['sessions'] as Listed[]).map(({ sessionId }) => sessionId);
const shown = async (sessionId: string, query: string): Promise<Listed> =>
  (await call(`/api/v1/sessions/${sessionId}?${query}`)).body as Listed;

const finished = (sessionId: string, agent = 'builder-1') => finishedRun(plane.ports, sessionId, agent);

describe('lists', () => {
  test('ST-30 ST-33 ST-34 ST-40 a session is active, then unread, then read, and unread again when something happens', async () => {
    const [quiet, busy] = [newSession(), newSession()];
    const { seq } = await finished(quiet, 'builder-2');
    const runId = await createRun(plane.ports, { sessionId: busy, agent: 'builder-2' });
    const created = await transition(plane.ports, runId, 'fleetlog.run.created.v1');
    const at = `reader=anna&afterSeq=${Math.max(seq, created.seq)}`;
    expect(await shown(quiet, at)).toMatchObject({
      executionState: 'terminal',
      active: false,
      unread: true,
      attentionState: 'unread',
      readerId: 'anna',
      readCursor: null,
      sessionPath: `local/main/${quiet}`,
    });
    expect(await shown(busy, at)).toMatchObject({ executionState: 'running', attentionState: 'active' });
    expect(await listed(`agent=builder-2&${at}`)).toEqual([busy, quiet]);
    const { version } = await shown(quiet, at);
    expect(await call(`/api/v1/sessions/${quiet}/read`, { reader: 'anna', version })).toMatchObject({
      status: 202,
      body: { reader: 'anna', version, moved: true },
    });
    await expect
      .poll(() => shown(quiet, at))
      .toMatchObject({ attentionState: 'read', readCursor: { version } });
    expect(await listed(`agent=builder-2&${at}`)).toEqual([busy]);
    expect(await listed(`agent=builder-2&state=all&${at}`)).toEqual([busy, quiet]);
    expect(await listed('agent=builder-2&reader=ben')).toEqual([busy, quiet]);
    expect(await listed(`agent=builder-2&state=terminal&${at}`)).toEqual([quiet]);
    expect(await listed(`agent=builder-2&state=running&provider=claude&${at}`)).toEqual([]);
    const later = await finished(quiet, 'builder-2');
    expect(await shown(quiet, `reader=anna&afterSeq=${later.seq}`)).toMatchObject({
      attentionState: 'unread',
    });
  });

  test('ST-32 ST-35 ST-36 WK-47 pages follow their cursor, changes follow the version, and limits are brought into range', async () => {
    const made: string[] = [];
    let seq = 0;
    for (let n = 0; n < 5; n += 1) {
      const session = newSession();
      const { body } = await call('/api/v1/sessions', {
        session,
        agent: 'builder-1',
        title: `Paged ${n}`,
        conversationId: 'paged',
      });
      made.push(session);
      seq = Number(body['seq']);
    }
    const pages: string[] = [];
    let cursor = '';
    do {
      const { body } = await call(`/api/v1/sessions?state=idle&limit=2&afterSeq=${seq}${cursor}`);
      const rows = body['sessions'] as Listed[];
      expect(body).toMatchObject({
        count: rows.length,
        filters: { state: 'idle', limit: 2, readerId: null },
      });
      pages.push(
        ...rows.filter((row) => row['conversationId'] === 'paged').map(({ sessionId }) => sessionId),
      );
      cursor = body['next'] === null ? '' : `&cursor=${body['next'] as string}`;
    } while (cursor !== '');
    expect(pages.toSorted()).toEqual(made.toSorted());
    const changes: string[] = [];
    for (let after = 0, hasMore = true; hasMore;) {
      const { body } = await call(`/api/v1/sessions/changes?after=${after}&limit=2&afterSeq=${seq}`);
      changes.push(...(body['sessions'] as Listed[]).map(({ sessionId }) => sessionId));
      after = Number(body['after']);
      hasMore = body['hasMore'] === true;
    }
    expect(changes.filter((id) => made.includes(id))).toEqual(made);
    for (const [limit, effective] of [
      ['0', 1],
      ['-7', 1],
      ['1000', 100],
      ['2.9', 2],
    ] as const)
      expect((await call(`/api/v1/sessions?limit=${limit}`)).body).toMatchObject({
        filters: { limit: effective },
      });
    expect((await call('/api/v1/sessions')).body).toMatchObject({ filters: { limit: 50, state: 'default' } });
  });
});

describe('marks of readers', () => {
  test('ST-39 WK-59 the version that the reader saw counts, not what came since; nobody can have seen what is not there', async () => {
    const sessionId = newSession();
    const first = await finished(sessionId);
    const before = await shown(sessionId, `reader=anna&afterSeq=${first.seq}`);
    const second = await finished(sessionId);
    await shown(sessionId, `afterSeq=${second.seq}`);
    await call(`/api/v1/sessions/${sessionId}/read`, { reader: 'anna', version: before.version });
    expect(await shown(sessionId, 'reader=anna')).toMatchObject({ unread: true });
    expect(
      await call(`/api/v1/sessions/${sessionId}/read`, { reader: 'anna', version: 1_000_000 }),
    ).toMatchObject({
      status: 400,
      body: { code: 'INPUT_INVALID', errors: [{ path: 'version' }] },
    });
    expect(await call(`/api/v1/sessions/${newSession()}/read`, { version: 1 })).toMatchObject({
      status: 404,
      body: { code: 'SESSION_UNKNOWN' },
    });
    const last = await cli(['session', 'read', sessionId, '--reader', 'anna', '--json']);
    expect(last.json()).toMatchObject({ reader: 'anna', version: second.seq, moved: true });
    const back = await cli([
      'session',
      'read',
      sessionId,
      '--reader',
      'anna',
      '--seen',
      String(first.seq),
      '--json',
    ]);
    expect(back.json()).toMatchObject({ version: second.seq, moved: false });
  });

  test('ST-54 ST-55 ST-56 ST-57 tasks are read by their version; a commander sees what wants attention, and counts of all', async () => {
    const post = async (title: string, priority: number) =>
      (await call('/api/v1/tasks', { queue: 'desk', lane: 'fast', prompt: title, title, priority })).body;
    const [low, high] = [await post('low', 1), await post('high', 9)];
    const cancelled = await call(`/api/v1/tasks/${String(low['taskId'])}/cancel`, {});
    const seq = Math.max(Number(cancelled.body['seq']), Number(high['seq']));
    const task = (await call(`/api/v1/tasks/${String(low['taskId'])}?reader=anna&afterSeq=${seq}`)).body;
    expect(task).toMatchObject({ attentionState: 'unread', active: false, position: null });
    const glance = async (reader: string) => (await call(`/api/v1/commander?queue=desk${reader}`)).body;
    await call(`/api/v1/tasks/${String(high['taskId'])}?afterSeq=${String(high['seq'])}`);
    expect((await glance('&reader=anna'))['tasks']).toMatchObject([{ title: 'high' }, { title: 'low' }]);
    await call(`/api/v1/tasks/${String(low['taskId'])}/read`, { reader: 'anna', version: task['seq'] });
    await expect.poll(async () => (await glance('&reader=anna'))['tasks']).toMatchObject([{ title: 'high' }]);
    expect(await glance('')).toMatchObject({
      queue: 'desk',
      readerId: null,
      tasks: [{ title: 'high', attentionState: 'active' }, { title: 'low' }],
      stats: { total: 2, states: { pending: 1, cancelled: 1 }, lanes: { fast: 2 }, maxSeq: seq },
    });
    const stats = await cli(['task', 'stats', '--queue', 'desk', '--reader', 'anna']);
    expect(stats.out).toMatch(/tasks +2.*\nstates +.*pending 1.*\nlanes +fast 2\n/);
    expect(stats.out).toContain('high');
    expect(stats.out).not.toContain('low');
  });
});

describe('the record of a session', () => {
  test('ST-37 ST-38 WK-48 the trace has everything, the output what was put out, and the cursor of every page advances', async () => {
    const sessionId = newSession();
    const runId = await talkativeRun(plane.ports, sessionId);
    const types = async (what: string): Promise<readonly string[]> => {
      const seen: string[] = [];
      let after = '';
      for (;;) {
        const { body } = await call(`/api/v1/sessions/${sessionId}/${what}?limit=2${after}`);
        expect(body).toMatchObject({ runId, sessionId, gone: [] });
        seen.push(...(body['events'] as { readonly type: string }[]).map(({ type }) => type));
        const next = `&after=${String(body['next'])}`;
        if (body['hasMore'] !== true) return seen;
        expect(next).not.toBe(after);
        after = next;
      }
    };
    expect(await types('trace')).toHaveLength(15);
    expect(await types('output')).toEqual([
      'fleetlog.turn.text.v1',
      'fleetlog.turn.finished.v1',
      'fleetlog.run.completed.v1',
    ]);
    const end = (await call(`/api/v1/sessions/${sessionId}/output`)).body;
    const again = (await call(`/api/v1/sessions/${sessionId}/output?after=${String(end['next'])}`)).body;
    expect(again).toMatchObject({
      events: [],
      next: expect.stringMatching(/^t\d+\.e\d+$/) as string,
      hasMore: false,
    });
    const lines = await cli(['session', 'output', sessionId, '--all', '--limit', '1']);
    expect(lines.out).toContain('first words');
    expect(lines.out).not.toContain('thought');
  });

  test('ST-37 ER-02 a run must be one of the session; a session without runs has an empty page', async () => {
    const [sessionId, other] = [newSession(), newSession()];
    const { runId } = await finished(other);
    await call('/api/v1/sessions', { session: sessionId });
    expect((await call(`/api/v1/sessions/${sessionId}/trace`)).body).toEqual({
      sessionId,
      runId: null,
      events: [],
      next: null,
      hasMore: false,
      gone: [],
    });
    expect(await call(`/api/v1/sessions/${sessionId}/trace?run=${runId}`)).toMatchObject({
      status: 404,
      body: { code: 'RUN_UNKNOWN', kind: 'schema-invalid' },
    });
  });
});

describe('what is said about sessions', () => {
  test('ST-42 ST-46 ER-07 ER-08 a session is made, changed within its boundary, stored and given up', async () => {
    const { status, body } = await call('/api/v1/sessions', {
      title: '  Cart  ',
      metadata: { area: 'cart' },
    });
    expect(status).toBe(202);
    const session = String(body['sessionId']);
    expect(await call('/api/v1/sessions', { session, agent: 'builder-2' })).toMatchObject({
      status: 403,
      body: { code: 'SESSION_FOREIGN', kind: 'tenant-policy-denied' },
    });
    expect(await call('/api/v1/sessions', { session, provider: 'claude' })).toMatchObject({
      status: 400,
      body: { code: 'SESSION_OTHER_PROVIDER', kind: 'schema-invalid' },
    });
    expect(await call('/api/v1/sessions', { session, tenant: 'other' })).toMatchObject({
      status: 403,
      body: { code: 'BOUNDARY_DENIED' },
    });
    const stored = await call(`/api/v1/sessions/${session}/storage`, {
      kind: 'volume',
      name: 'vol-7',
      bytes: 12,
    });
    const changed = await call('/api/v1/sessions', { session, metadata: { area: 'shop' }, expiresAt: 1 });
    const seq = Number(changed.body['seq']);
    expect(seq).toBeGreaterThan(Number(stored.body['seq']));
    expect(await shown(session, `afterSeq=${seq}`)).toMatchObject({
      title: 'Cart',
      isTitled: true,
      metadata: { area: 'shop' },
      storage: { kind: 'volume', name: 'vol-7', bytes: 12, files: null, evictedAt: null },
      subfolder: 'sessions',
      executionState: 'idle',
    });
    const evict = (name: string) => call(`/api/v1/sessions/${session}/evict`, { name });
    expect(await evict('vol-6')).toMatchObject({ status: 409, body: { code: 'SESSION_STORAGE_CHANGED' } });
    expect((await cli(['session', 'gc', '--dry-run'])).out).toContain(session);
    const collected = await cli(['session', 'gc', '--json']);
    expect(collected.json()).toMatchObject({
      evicted: [{ sessionId: session, name: 'vol-7' }],
      trial: false,
    });
    expect(await evict('vol-7')).toMatchObject({ status: 202, body: { repeated: true } });
    const list = await cli(['session', 'list', '--state', 'all', '--limit', '1']);
    expect(list.out).toMatch(/^SESSION +ATTENTION/);
    expect(list.note).toContain('--state all --limit 1 --cursor');
  });
});
