// Claims and leases of several instances on one memory broker: what is remembered spares reads, and is never believed when it is old.
import { expect, test } from 'vitest';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { createClaims } from '#services/runs/claims.ts';
import { createLeases } from '#services/runs/leases.ts';
import { createInstructions } from '#services/runs/instructions.ts';
import { createLostLeases } from '#services/runs/lost-leases.ts';
import { createRunLog } from '#services/runs/run-log.ts';
import { bucketDefinitions, leaseKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { streamDefinitions } from '#streams/streams.ts';
import { createData, expire, nextCommand, runId } from '#test/support/run-history.ts';

const boundary = { tenant: 'local', project: 'main' };
const target = { boundary, runId, actor: 'service:runs' };
const asker = { ...boundary, agent: 'builder-1' };
const LEASE_MS = createData().leaseMs;
const holder = (fence: number, runnerId = 'r1') => ({ boundary, runId, runnerId, fence });

const world = () => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const topology = { streams: streamDefinitions(1), buckets: bucketDefinitions(1) };
  const broker = createMemoryBroker({ clock, ids, topology });
  const bucket = broker.keyValue('leases');
  const reads = { count: 0 };
  /** The next writes of leases fail, so many. */
  const trouble = { writes: 0 };
  const counting: KeyValue = Object.create(bucket, {
    get: {
      value: (key: string) => {
        reads.count += 1;
        return bucket.get(key);
      },
    },
    put: {
      value: (...put: Parameters<KeyValue['put']>) => {
        trouble.writes -= 1;
        if (trouble.writes >= 0) throw new Fault({ code: 'KV_UNAVAILABLE', retry: 'later', message: 'away' });
        return bucket.put(...put);
      },
    },
    delete: { value: bucket.delete.bind(bucket) },
  }) as KeyValue;
  const instance = () => {
    const runLog = createRunLog({ log: broker.eventLog('TRANSITIONS'), clock, ids });
    const leases = createLeases(counting, clock);
    return { runLog, leases, claims: createClaims({ runLog, leases, clock }) };
  };
  const lease = async () => {
    const entry = await bucket.get(leaseKey(boundary, runId));
    return entry === undefined ? undefined : parseJson(entry.value);
  };
  return { instance, lease, reads, trouble, clock, bucket, commands: broker.eventLog('COMMANDS') };
};

const create = ({ runLog }: ReturnType<ReturnType<typeof world>['instance']>) =>
  runLog.handle(target, { kind: 'create', data: createData() }, { id: 'create', begins: true });

test('a lease of this instance is renewed and removed without a read', async () => {
  const { instance, lease, reads } = world();
  const { leases } = instance();
  expect(await leases.take(holder(1), LEASE_MS)).toMatchObject({ kind: 'taken' });
  expect(await leases.renew(holder(1), LEASE_MS)).toBe(true);
  await leases.remove(boundary, runId, 1);
  expect(reads.count).toBe(0);
  expect(await lease()).toBeUndefined();
  expect(await leases.renew(holder(1), LEASE_MS)).toBe(false);
});

test('a lease that another instance has touched since is looked at before it is written', async () => {
  const { instance, lease } = world();
  const [one, two] = [instance(), instance()];
  await one.leases.take(holder(1), LEASE_MS);
  expect(await two.leases.renew(holder(1), LEASE_MS)).toBe(true);
  expect(await one.leases.renew(holder(1), LEASE_MS)).toBe(true);
  await two.leases.remove(boundary, runId, 1);
  expect(await one.leases.renew(holder(1), LEASE_MS)).toBe(false);
  await two.leases.take(holder(2, 'r2'), LEASE_MS);
  // The end of the first claim, told late, leaves the second one's lease.
  await one.leases.remove(boundary, runId, 1);
  expect(await lease()).toMatchObject({ runnerId: 'r2', fence: 2 });
});

test('a claim of a run that another instance has queued again has a lease under its own fence', async () => {
  const { instance, lease } = world();
  const [one, two] = [instance(), instance()];
  await create(one);
  const first = { runId, runnerId: 'r1', claimId: 'c1', commandId: createData().commandId };
  expect(await two.claims.claim(asker, first)).toMatchObject({ kind: 'ok', result: { fence: 1 } });
  await two.leases.remove(boundary, runId, 1);
  const expiry = await two.runLog.handle(target, expire(1), { id: 'expire' });
  expect(expiry).toMatchObject({ kind: 'accepted', event: { next: 'queued' } });
  // The first instance still believes that nobody ever held it.
  const again = { ...first, claimId: 'c2', commandId: nextCommand };
  const answer = await one.claims.claim(asker, again);
  expect(answer).toMatchObject({ kind: 'ok', result: { fence: 2 } });
  expect(await lease()).toMatchObject({ runnerId: 'r1', fence: 2 });
  expect(await one.claims.renew(asker, { runId, runnerId: 'r1', fence: 2 })).toMatchObject({ kind: 'ok' });
});

test('a claim that another instance has granted is refused to another runner, and answered again to its own', async () => {
  const { instance, lease } = world();
  const [one, two] = [instance(), instance()];
  await create(one);
  const claim = { runId, runnerId: 'r1', claimId: 'c1', commandId: createData().commandId };
  await two.claims.claim(asker, claim);
  expect(await one.claims.claim(asker, { ...claim, runnerId: 'r2', claimId: 'c2' })).toMatchObject({
    kind: 'refused',
    rejection: { code: 'RUN_CLAIMED' },
  });
  expect(await one.claims.claim(asker, claim)).toMatchObject({ kind: 'ok', result: { fence: 1 } });
  expect(await lease()).toMatchObject({ runnerId: 'r1', fence: 1 });
});

test('a claim that was looked at before the one in front of it ended has a lease when it is granted', async () => {
  const { instance, lease } = world();
  const one = instance();
  await create(one);
  const first = { runId, runnerId: 'r1', claimId: 'c1', commandId: createData().commandId };
  await one.claims.claim(asker, first);
  // The claim finds the run held; before it is appended, the report that ends the first claim is, and its lease is removed.
  const overtaken = createClaims({
    ...one,
    clock: createManualClock(),
    runLog: {
      handle: (...handed) => one.runLog.handle(...handed),
      handleAt: (...handed) => one.runLog.handleAt(...handed),
      remembered: () => undefined,
      noteAppended: (...noted) => one.runLog.noteAppended(...noted),
      load: async (loaded) => {
        const found = await one.runLog.load(loaded);
        if (found.state?.state === 'claimed' && found.state.claims === 1) {
          await one.runLog.handle(target, expire(1), { id: 'expire' });
          await one.leases.remove(boundary, runId, 1);
        }
        return found;
      },
    },
  });
  const again = { ...first, claimId: 'c2', commandId: nextCommand };
  expect(await overtaken.claim(asker, again)).toMatchObject({ kind: 'ok', result: { fence: 2 } });
  expect(await lease()).toMatchObject({ runnerId: 'r1', fence: 2 });
});

const first = { runId, runnerId: 'r1', claimId: 'c1', commandId: createData().commandId };

test('of two claims at once in two instances one is granted, and the lease is its own', async () => {
  const { instance, lease } = world();
  const [one, two] = [instance(), instance()];
  await create(one);
  const answers = await Promise.all([
    one.claims.claim(asker, first),
    two.claims.claim(asker, { ...first, runnerId: 'r2', claimId: 'c2' }),
  ]);
  const granted = answers.flatMap((answer, at) => (answer.kind === 'ok' ? [`r${at + 1}`] : []));
  expect(granted).toHaveLength(1);
  expect(await lease()).toMatchObject({ runnerId: granted[0], fence: 1 });
});

test('a claim is granted over the lease of one that came to nothing', async () => {
  const { instance, lease } = world();
  const { claims, leases, ...one } = instance();
  await create({ claims, leases, ...one });
  await leases.take(holder(1, 'r9'), LEASE_MS);
  expect(await claims.claim(asker, first)).toMatchObject({ kind: 'ok', result: { fence: 1 } });
  expect(await lease()).toMatchObject({ runnerId: 'r1', fence: 1 });
});

test('a claim whose lease was not written is not answered, and has it when it is asked for again', async () => {
  const { instance, lease, trouble } = world();
  const { claims, runLog, leases } = instance();
  await create({ claims, runLog, leases });
  trouble.writes = 1;
  await expect(claims.claim(asker, first)).rejects.toMatchObject({ code: 'KV_UNAVAILABLE' });
  expect(await lease()).toBeUndefined();
  expect(await claims.claim(asker, first)).toMatchObject({ kind: 'ok', result: { fence: 1 } });
  expect(await lease()).toMatchObject({ runnerId: 'r1', fence: 1 });
});

test('of a claim that was granted just now the lease is waited for, and then it is lost', async () => {
  const { instance, clock, bucket, commands, trouble } = world();
  const { claims, runLog, leases } = instance();
  await create({ claims, runLog, leases });
  trouble.writes = 1;
  await expect(claims.claim(asker, first)).rejects.toMatchObject({ code: 'KV_UNAVAILABLE' });
  const lost = createLostLeases({
    runLog,
    leases,
    instructions: createInstructions({ runLog, commands, clock }),
    lateResults: { settle: () => Promise.resolve(false) },
    clock,
    bucket,
    onTrouble: (_run, fault) => {
      throw fault;
    },
  });
  const looking = new AbortController();
  const seen = {
    boundary,
    runId,
    agent: 'builder-1',
    createdAt: 0,
    updatedAt: 0,
    isHeld: true,
    isQueued: false,
  };
  const sweeping = lost.sweep(
    {
      watch: () => Promise.resolve(),
      ready: Promise.resolve(),
      held: () => [seen],
      queued: () => [],
      overdue: () => [],
      ofAgent: () => [],
      size: 1,
    },
    60_000,
    looking.signal,
  );
  const stateOf = async (): Promise<string | undefined> => (await runLog.load(target)).state?.state;
  await clock.advance(500);
  expect(await stateOf()).toBe('claimed');
  await clock.advance(1000);
  expect(await stateOf()).toBe('queued');
  looking.abort();
  await clock.advance(1);
  await sweeping;
});
