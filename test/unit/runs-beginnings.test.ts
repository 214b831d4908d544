// The instruction of a new run that is sent beside its creation: whoever is faster, and whatever dies in between, the agent is told of a run that is
// there, and once.
import { expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { createClaims } from '#services/runs/claims.ts';
import { createInstructions, decodeInstructingTransition } from '#services/runs/instructions.ts';
import { createLeases } from '#services/runs/leases.ts';
import { createRunLog } from '#services/runs/run-log.ts';
import { bucketDefinitions } from '#streams/buckets.ts';
import { streamDefinitions } from '#streams/streams.ts';
import type { RunCreated } from '#streams/run.ts';
import { createData, runId } from '#test/support/run-history.ts';

const boundary = { tenant: 'local', project: 'main' };
const target = { boundary, runId, actor: 'service:tasks' };
const data = { ...createData(), task: { taskId: 'tsk_01HF3Z0000000000000000000A', attempt: 1 } };
const cause = { boundary, causation: 'create', actor: 'service:tasks' };

const world = () => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const topology = { streams: streamDefinitions(1), buckets: bucketDefinitions(1) };
  const broker = createMemoryBroker({ clock, ids, topology });
  const [log, commands] = [broker.eventLog('TRANSITIONS'), broker.eventLog('COMMANDS')];
  const instance = () => {
    const runLog = createRunLog({ log, clock, ids });
    const claims = createClaims({ runLog, leases: createLeases(broker.keyValue('leases'), clock), clock });
    return { runLog, claims, instructions: createInstructions({ runLog, commands, clock }) };
  };
  /** Ids of what the agent was told. */
  const told = async (): Promise<string[]> => {
    const all: string[] = [];
    for await (const { headers } of commands.replay()) all.push(headers['Nats-Msg-Id'] ?? '');
    return all;
  };
  /** The delivery of the creation, to an instance that has not stored it. */
  const deliver = async (): Promise<void> => {
    for await (const entry of log.replay()) {
      const transition = decodeInstructingTransition(entry);
      if (transition !== undefined) await instance().instructions.handle(transition);
    }
  };
  return { clock, commands, instance, told, deliver };
};

const create = async ({ runLog }: ReturnType<ReturnType<typeof world>['instance']>): Promise<RunCreated> => {
  const outcome = await runLog.handle(target, { kind: 'create', data }, { id: 'create', begins: true });
  if (outcome.kind !== 'accepted' || outcome.event.type !== 'fleetlog.run.created.v1')
    throw new Error('not created');
  return outcome.event;
};

const claim = { runId, runnerId: 'r1', claimId: 'c1', commandId: data.commandId };
const asker = { ...boundary, agent: data.agent };

test('a claim that is faster than its run waits for it, at another instance, too', async () => {
  const { clock, instance } = world();
  const [one, two] = [instance(), instance()];
  const claiming = two.claims.claim(asker, claim);
  await clock.advance(300);
  await create(one);
  await clock.advance(700);
  expect(await claiming).toMatchObject({ kind: 'ok', result: { fence: 1 } });
});

test('a claim of a run that never comes is refused after a second', async () => {
  const { clock, instance } = world();
  let isAnswered = false;
  const claiming = instance()
    .claims.claim(asker, claim)
    .finally(() => {
      isAnswered = true;
    });
  await clock.advance(900);
  expect(isAnswered).toBe(false);
  await clock.advance(200);
  expect(await claiming).toMatchObject({ kind: 'refused', rejection: { code: 'RUN_UNKNOWN' } });
});

test('the agent is told once, beside the creation, and its delivery finds it told', async () => {
  const { instance, told, deliver } = world();
  const one = instance();
  const creating = Promise.withResolvers<RunCreated | undefined>();
  one.instructions.beginSoon(cause, creating.promise, data);
  await Promise.resolve();
  expect(await told()).toEqual(['create.turn']);
  creating.resolve(await create(one));
  await deliver();
  expect(await told()).toEqual(['create.turn']);
});

test('of a run that was stored only after whoever told of it had died the agent is told again, once', async () => {
  const { clock, instance, told, deliver } = world();
  const dead = Promise.reject(new Fault({ code: 'LOG_UNAVAILABLE', retry: 'later', message: 'dead' }));
  instance().instructions.beginSoon(cause, dead, data);
  await clock.advance(5000);
  expect(await told()).toEqual(['create.turn']);
  const next = instance();
  const creating = create(next);
  next.instructions.beginSoon(cause, creating, data);
  await creating;
  await clock.settle();
  await deliver();
  await deliver();
  expect(await told()).toEqual(['create.turn', 'create.turn.again']);
});

test('a delivery tells again where the run came long after its instruction, and not where it is claimed', async () => {
  for (const isClaimed of [false, true]) {
    const { clock, instance, told, deliver } = world();
    const dead = Promise.reject(new Fault({ code: 'LOG_UNAVAILABLE', retry: 'later', message: 'dead' }));
    instance().instructions.beginSoon(cause, dead, data);
    await clock.advance(5000);
    const next = instance();
    await create(next);
    if (isClaimed) await next.claims.claim(asker, claim);
    await deliver();
    await deliver();
    expect(await told()).toEqual(isClaimed ? ['create.turn'] : ['create.turn', 'create.turn.again']);
  }
});
