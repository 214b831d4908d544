// The rules of a session: whose it is on every command, what an update leaves alone, and when storage may be given up.
import { sessionDecider } from '#services/sessions/session.decider.ts';
import type { SessionCommand, SessionEvent } from '#streams/session.ts';
import { given } from '#test/support/given.ts';
import {
  everyCommand,
  evictedAt,
  EVICTION_ID,
  evictionAskedAt,
  evictionRefusedAt,
  FIRST_RUN,
  LATER_RUN,
  openedByRun,
  OWNER,
  SESSION_ID,
  storedAt,
  updatedAt,
  VOLUME,
} from '#test/support/session-history.ts';
import { describe, expect, test } from 'vitest';

const session = (...history: readonly SessionEvent[]) => given(sessionDecider, ...history);

describe('whose session it is', () => {
  test('ST-09 WK-51 every command is refused across tenant and project, and that is told first', () => {
    for (const place of [{ tenant: 'other' }, { project: 'other' }])
      for (const command of everyCommand({ ...OWNER, agent: 'builder-2', provider: 'exec', ...place }))
        session(openedByRun, storedAt(20)).when(command).thenRejected('BOUNDARY_DENIED');
  });

  test('every command that names another agent is refused', () => {
    for (const command of everyCommand({ ...OWNER, agent: 'builder-2', provider: 'exec' }))
      session(openedByRun, storedAt(20)).when(command).thenRejected('SESSION_FOREIGN');
  });

  test('ST-09 every command that names another provider is refused with both named', () => {
    for (const command of everyCommand({ ...OWNER, provider: 'exec' })) {
      const { decision } = session(openedByRun, storedAt(20)).when(command);
      expect(decision).toMatchObject({
        rejection: { code: 'SESSION_OTHER_PROVIDER', detail: { existing: 'claude', requested: 'exec' } },
      });
    }
  });

  test('a refusal across tenants says nothing of the session', () => {
    for (const command of everyCommand({ ...OWNER, tenant: 'other' })) {
      const { decision } = session(openedByRun).when(command);
      expect(decision).toMatchObject({ rejection: { detail: { sessionId: SESSION_ID } } });
      expect(JSON.stringify(decision)).not.toContain('builder-1');
    }
  });
});

describe('beginning', () => {
  test('ST-T11 the first run opens it; a later one finds it open', () => {
    session().when({ kind: 'open', asked: OWNER, runId: FIRST_RUN }, { now: 10 }).then(openedByRun);
    session(openedByRun).when({ kind: 'open', asked: OWNER, runId: LATER_RUN }).thenUnchanged();
  });

  test('ST-T11 an upsert opens it with what it says, before any run', () => {
    session()
      .when({ kind: 'upsert', asked: OWNER, details: { title: 'Cart', expiresAt: 99 } }, { now: 5 })
      .then({
        type: 'fleetlog.session.opened.v1',
        ...OWNER,
        runId: null,
        title: 'Cart',
        expiresAt: 99,
        openedAt: 5,
      });
  });

  test('nothing else can be done to a session that nobody has opened', () => {
    for (const command of everyCommand(OWNER).slice(2))
      session().when(command).thenRejected('SESSION_UNKNOWN');
  });
});

describe('what is said about it', () => {
  test('ST-42 an upsert changes what it names, and says no more than that', () => {
    session(openedByRun, updatedAt(20, { title: 'Cart', metadata: { a: '1' } }))
      .when(
        {
          kind: 'upsert',
          asked: OWNER,
          details: { title: 'Cart', metadata: { b: '2' }, conversationId: 'chat-1' },
        },
        { now: 30 },
      )
      .then(updatedAt(30, { metadata: { b: '2' }, conversationId: 'chat-1' }));
  });

  test('an upsert that says what is so changes nothing', () => {
    session(openedByRun, updatedAt(20, { title: 'Cart' }))
      .when({ kind: 'upsert', asked: OWNER, details: { title: 'Cart' } })
      .thenUnchanged();
  });

  test('ST-41 WK-50 neither an upsert nor a new conversation of the program drops storage', () => {
    const { state } = session(
      openedByRun,
      storedAt(20),
      updatedAt(30, { title: 'Cart', metadata: {}, expiresAt: 99 }),
      updatedAt(40, { providerSessionId: 'p-1', boundBy: { runId: FIRST_RUN, fence: 1 } }),
    );
    expect(state).toMatchObject({ storage: VOLUME, expiresAt: 99, providerSessionId: 'p-1', title: 'Cart' });
  });

  test('the conversation of an older claim does not overwrite that of a newer one', () => {
    const bound = updatedAt(20, { providerSessionId: 'p-2', boundBy: { runId: FIRST_RUN, fence: 2 } });
    const bind = (fence: number, runId = FIRST_RUN): SessionCommand => ({
      kind: 'bind',
      asked: OWNER,
      providerSessionId: 'p-1',
      boundBy: { runId, fence },
    });
    session(openedByRun, bound).when(bind(1)).thenUnchanged();
    session(openedByRun, bound).when(bind(3)).thenLike({ providerSessionId: 'p-1' });
    session(openedByRun, bound).when(bind(1, LATER_RUN)).thenLike({ providerSessionId: 'p-1' });
  });
});

describe('storage', () => {
  const evict: SessionCommand = {
    kind: 'evict',
    asked: OWNER,
    name: VOLUME.name,
    reason: 'its time is over',
    evictionId: EVICTION_ID,
    isActive: false,
    onlyExpired: false,
  };

  test('ST-46 ST-T14 its keeper says where it is; the subfolder is what was said, else kept, else sessions', () => {
    session(openedByRun)
      .when({ kind: 'store', asked: OWNER, storage: VOLUME }, { now: 20 })
      .then(storedAt(20));
    session(openedByRun, updatedAt(15, { subfolder: 'deep/er' }))
      .when({ kind: 'store', asked: OWNER, storage: VOLUME })
      .thenLike({ subfolder: 'deep/er' });
    session(openedByRun, storedAt(20)).when({ kind: 'store', asked: OWNER, storage: VOLUME }).thenUnchanged();
  });

  const settle = (...runs: readonly string[]): SessionCommand => ({
    kind: 'settle',
    asked: OWNER,
    evictionId: EVICTION_ID,
    runs,
  });
  const wished = [openedByRun, storedAt(20), evictionAskedAt(30)] as const;

  test('ST-47 ST-T15 an eviction is asked for, and carried out where no run was under way; it names what is gone', () => {
    session(openedByRun, storedAt(20)).when(evict, { now: 30 }).then(evictionAskedAt(30));
    session(...wished)
      .when(settle(), { now: 31 })
      .then(evictedAt(31));
    session(...wished)
      .when(evict)
      .thenUnchanged();
    session(...wished, evictedAt(31))
      .when(evict)
      .thenUnchanged();
    session(...wished, evictedAt(31))
      .when(settle())
      .thenUnchanged();
  });

  test('WK-57 storage stays where a run was under way, and can be given up another time', () => {
    session(...wished)
      .when(settle(FIRST_RUN), { now: 31 })
      .then(evictionRefusedAt(31, [FIRST_RUN]));
    const { state } = session(...wished, evictionRefusedAt(31, [FIRST_RUN]));
    expect(state).toMatchObject({ storage: { isEvicted: false, eviction: null } });
    session(...wished, evictionRefusedAt(31, [FIRST_RUN]))
      .when({ ...evict, evictionId: 'another' }, { now: 40 })
      .thenLike({ type: 'fleetlog.session.eviction-asked.v1', evictionId: 'another' });
  });

  test('an eviction is settled once, by its own name, and not when its keeper holds something else by now', () => {
    session(...wished)
      .when({ ...settle(), evictionId: 'another' } as SessionCommand)
      .thenUnchanged();
    session(...wished, storedAt(31, { ...VOLUME, name: 'vol-2' }))
      .when(settle())
      .thenUnchanged();
  });

  test('WK-57 only the current storage is evicted', () => {
    const moved = storedAt(25, { ...VOLUME, name: 'vol-2' });
    session(openedByRun, storedAt(20), moved).when(evict).thenRejected('SESSION_STORAGE_CHANGED');
    session(openedByRun).when(evict).thenRejected('SESSION_STORAGE_CHANGED');
  });

  test('WK-57 nothing is evicted while a run is under way', () => {
    session(openedByRun, storedAt(20))
      .when({ ...evict, isActive: true })
      .thenRejected('SESSION_ACTIVE');
  });

  test('ST-48 the collector takes what has expired, at the very time and after, and nothing else', () => {
    const collect: SessionCommand = { ...evict, onlyExpired: true };
    session(openedByRun, storedAt(20)).when(collect).thenRejected('SESSION_NOT_EXPIRED');
    const expiring = updatedAt(21, { expiresAt: 50 });
    session(openedByRun, storedAt(20), expiring)
      .when(collect, { now: 49 })
      .thenRejected('SESSION_NOT_EXPIRED');
    session(openedByRun, storedAt(20), expiring).when(collect, { now: 50 }).then(evictionAskedAt(50));
  });

  test('storage can be said anew after an eviction', () => {
    session(openedByRun, storedAt(20), evictedAt(30))
      .when({ kind: 'store', asked: OWNER, storage: VOLUME }, { now: 40 })
      .then(storedAt(40));
  });
});
