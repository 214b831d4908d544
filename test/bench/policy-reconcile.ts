// From the report of an end until the transition that follows is on the log. Floor: a bare consumer that appends one entry for each.
import { jetstream } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import type { Ports } from '#libs/service/context.ts';
import { systemIds } from '#libs/system/ids.ts';
import { makeId } from '#streams/ids.ts';
import { encodeReport } from '#streams/report-codec.ts';
import { typedSubject } from '#streams/subjects.ts';
import type { FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY } from '#test/support/control-plane.ts';
import { applyPolicy, askPolicies, policyEvent } from '#test/support/policy-facts.ts';
import type { Bench } from './bench-world.ts';
import { fromPairs } from './figure.ts';
import { startManyHosts } from './many-hosts.ts';
import { interleaveOperations } from './measure.ts';
import { openPolicyWorld, startLifecycle, watchTransitions } from './policy-world.ts';

const reportEnd = (ports: Ports, policy: string, spawnId: string): Promise<unknown> =>
  ports.log('EVENTS').append(
    encodeReport(
      'agent-exited',
      {
        spawnId,
        policy,
        agent: policy,
        host: 'h1',
        pid: 1,
        exitCode: 1,
        signal: null,
        wasAsked: false,
        wasForced: false,
        lastWords: '',
        startedAt: 1,
        exitedAt: 2,
      },
      {
        boundary: BOUNDARY,
        agent: 'h1',
        id: makeId('event', systemIds.ulid()),
        source: '/host/h1',
        actor: 'host:h1',
        timeMs: ports.clock.now(),
      },
    ),
  );

/** A consumer that appends one entry for each report, and whoever waits for that. */
const bareReconcile = async (broker: FreshBroker) => {
  const connection = await connect({ servers: broker.url, user: 'control', pass: 'control' });
  const js = jetstream(connection);
  const manager = await js.jetstreamManager();
  await manager.consumers.add('EVENTS', {
    durable_name: 'bare',
    ack_policy: 'explicit',
    filter_subject: typedSubject(BOUNDARY, 'evt', 'bare', 'ended'),
  });
  const messages = await (await js.consumers.get('EVENTS', 'bare')).consume({ max_messages: 10 });
  const subject = 'fleet.local.main.policy.1.bare';
  let seq = 0;
  const working = (async () => {
    for await (const message of messages) {
      const told = headers();
      told.set('Nats-Expected-Last-Subject-Sequence', String(seq));
      const stored = await js.publish(subject, '{}', { headers: told, msgID: `bare-${message.seq}` });
      seq = stored.seq;
      message.ack();
    }
  })();
  const follower = await js.consumers.get('TRANSITIONS', { filter_subjects: subject, deliver_policy: 'new' });
  const seen = await follower.consume({ max_messages: 10 });
  const next = seen[Symbol.asyncIterator]();
  return {
    once: async () => {
      await js.publish(typedSubject(BOUNDARY, 'evt', 'bare', 'ended'), '{}');
      await next.next();
    },
    close: async () => {
      messages.stop();
      // Else it looks for its heartbeats for ever, and the process does not end.
      seen.stop();
      await working;
      await connection.close();
    },
  };
};

export const reconcileOne: Bench['run'] = async (context) => {
  const { profile, rounds, emit } = context;
  await using world = await openPolicyWorld(profile, ['h1']);
  const { broker, ports } = world;
  await using _hosts = await startManyHosts(ports, {
    hosts: ['h1'],
    capacity: 100,
    everyMs: 2000,
    hostTtlMs: 60_000,
    runnerTtlMs: 600_000,
  });
  const lifecycle = await startLifecycle(broker);
  const bare = await bareReconcile(broker);
  const backoffs = watchTransitions(ports, 'fleetlog.policy.backoff.v1');
  await applyPolicy(ports, 'p1', {
    host: 'h1',
    backoff: { scheduleSeconds: [3600] },
    limits: { restarts: 0 },
  });
  let spawnId = (await policyEvent(ports, 'p1', 'running')).spawnId;
  const ours = async (n: number): Promise<void> => {
    const after = backoffs.reaches(n + 1);
    await reportEnd(ports, 'p1', spawnId);
    await after;
  };
  /** Runs again: not counted. */
  const renew = async (n: number): Promise<void> => {
    await askPolicies(ports, 'reset', {
      policy: 'p1',
      requestId: systemIds.ulid(),
      actor: 'user:b',
      reason: 'again',
    });
    spawnId = (await policyEvent(ports, 'p1', 'running', n + 2)).spawnId;
  };
  const pairs = { ours: [] as number[], floor: [] as number[] };
  for (let n = 0; n < rounds * 5; n += 1) {
    const one = await interleaveOperations(1, 0, { ours: () => ours(n), floor: () => bare.once() });
    pairs.ours.push(...one.ours);
    pairs.floor.push(...one.floor);
    await renew(n);
  }
  const target = { of: 'difference', is: '<=', limit: 5 } as const;
  const named = { bench: 'policies', figure: 'one event reconciled', unit: 'ms', target, profile } as const;
  emit(fromPairs(named, { ours: pairs.ours.slice(5), floor: pairs.floor.slice(5) }));
  await backoffs.stop();
  await bare.close();
  lifecycle.kill('SIGKILL');
};
