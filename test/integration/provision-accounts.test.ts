// What a runner's user may do at a real broker, and what it may not: reports as itself, its own instructions, three requests in
// its agent's name, large bodies; nothing else, and no answer of the broker lands on somebody else's subject.
import { invariant } from '#libs/kernel/invariant.ts';
import { openBlobs } from '#libs/nats/blobs.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { connectNats, type NatsConnectionHandle } from '#libs/nats/connect.ts';
import { openWorkQueue } from '#libs/nats/work-queue.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import { systemClock } from '#libs/system/clock.ts';
import { reconcileTopology } from '#libs/topology/apply.ts';
import { createTopologyDriver } from '#libs/topology/broker-driver.ts';
import { accountsOf, CONTROL_USER, runnerInboxPrefix } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { runnerConsumerName, topologyOf } from '#streams/consumers.ts';
import { encodeInstruction } from '#streams/instruction-codec.ts';
import { RUNNER_OPERATIONS } from '#streams/run-requests.ts';
import { encodeReport } from '#streams/report-codec.ts';
import { EXAMPLE, INSTRUCTION_EXAMPLES, REPORT_EXAMPLES } from '#streams/generate-examples.ts';
import { agentRequestSubject, requestSubject, typedSubject, type Boundary } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, createInbox, headers, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const clock = systemClock;
const { boundary } = EXAMPLE;
const shape = {
  replicas: 1,
  agents: ['builder-1', 'builder-2'].map((agent) => ({ ...boundary, agent })),
};
const accounts = accountsOf(shape, {
  systemPassword: 'system',
  controlPassword: 'control',
  viewerPassword: 'viewer',
  runnerPasswords: { 'builder-1': 'one', 'builder-2': 'two' },
});

let broker: FreshBroker;
let control: NatsConnectionHandle;
/** The runner's user on a bare client, which shows what the broker says, … */
let runner: NatsConnection;
/** … and behind the ports, as the runner really works. */
let ports: NatsConnectionHandle;
const refusals: string[] = [];

const subjectOf = (agent: string, type = 'text'): string => typedSubject(boundary, 'evt', agent, type);
const storedIn = async (stream: string, subject: string): Promise<number> => {
  const manager = await jetstreamManager(control.nc);
  const info = await manager.streams.info(stream, { subjects_filter: subject });
  return Object.values(info.state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
};

const bodies = async (): Promise<{ readonly bytes: number }> => {
  const info = await (await jetstreamManager(control.nc)).streams.info('OBJ_bodies');
  return info.state;
};

/** Sends without waiting, then makes sure that the broker has seen it. */
const send = async (subject: string, options: { reply?: string; body?: string } = {}): Promise<void> => {
  runner.publish(subject, options.body ?? '{}', options.reply === undefined ? {} : { reply: options.reply });
  await runner.flush();
};

const request = (subject: string, body = ''): Promise<Msg> =>
  runner.request(subject, body, { timeout: 5000 });

beforeAll(async () => {
  broker = await freshBroker({ accounts });
  control = await connectNats({
    servers: [broker.url],
    user: CONTROL_USER,
    password: 'control',
    name: 'control',
    clock,
  });
  await reconcileTopology({
    declared: topologyOf(shape),
    driver: createTopologyDriver(natsTopology(control)),
    clock,
    storageBudgetBytes: 64 * 1024 ** 2,
  });
  runner = await connect({
    servers: broker.url,
    user: runnerUser('builder-1'),
    pass: 'one',
    inboxPrefix: runnerInboxPrefix('builder-1'),
  });
  ports = await connectNats({
    servers: [broker.url],
    user: runnerUser('builder-1'),
    password: 'one',
    inboxPrefix: runnerInboxPrefix('builder-1'),
    name: 'runner',
    clock,
  });
  void (async () => {
    for await (const status of runner.status())
      if (status.type === 'error') refusals.push(status.error.message);
  })();
});
afterAll(async () => {
  await ports.close();
  await runner.close();
  await control.close();
  await broker[Symbol.asyncDispose]();
});

describe('a runner may', () => {
  test('report as itself and is told where the report is stored', async () => {
    const entry = encodeReport('text', REPORT_EXAMPLES.text, {
      boundary,
      agent: 'builder-1',
      id: 'evt_1',
      source: '/runner/builder-1',
      actor: 'agent:builder-1',
      timeMs: clock.now(),
    });
    const stored = headers();
    for (const [name, value] of Object.entries(entry.headers)) stored.set(name, value);
    const options = { headers: stored, msgID: entry.id };
    const ack = await jetstream(runner).publish(entry.subject, entry.body, options);
    expect(ack).toMatchObject({ stream: 'EVENTS', duplicate: false });
    const again = await jetstream(runner).publish(entry.subject, entry.body, options);
    expect(again).toMatchObject({ seq: ack.seq, duplicate: true });
  });

  test('report in one atomic batch, through the log port', async () => {
    const log = createEventLog(ports, { stream: 'EVENTS' });
    const entries = [1, 2, 3].map((index) =>
      encodeReport('text', REPORT_EXAMPLES.text, {
        boundary,
        agent: 'builder-1',
        id: `batch-${index}`,
        source: '/runner/builder-1',
        actor: 'agent:builder-1',
        timeMs: clock.now(),
      }),
    );
    const outcome = await log.appendTogether(entries);
    expect(outcome).toMatchObject({ kind: 'appended', duplicate: false });
    expect(outcome.kind === 'appended' && outcome.seqs).toHaveLength(3);
  });

  test('ask for its own last report, and for nobody else’s', async () => {
    const answer = await request(`$JS.API.DIRECT.GET.EVENTS.${subjectOf('builder-1')}`);
    expect(answer.headers?.get('Nats-Subject')).toBe(subjectOf('builder-1'));
    await expect(request(`$JS.API.DIRECT.GET.EVENTS.${subjectOf('builder-2')}`)).rejects.toThrow(
      /Permissions Violation/,
    );
    const steered = await request(`$JS.API.DIRECT.GET.EVENTS.${subjectOf('builder-1')}`, '{"seq":1}');
    expect(steered.headers?.code).toBe(408);
  });

  test('pull its own instructions and acknowledge them', async () => {
    const entry = encodeInstruction('cancel', INSTRUCTION_EXAMPLES.cancel, {
      boundary,
      target: 'builder-1',
      id: 'cmd_1',
      source: '/service/runs',
      actor: 'user:anna',
      timeMs: clock.now(),
    });
    await createEventLog(control, { stream: 'COMMANDS' }).append(entry);
    const consumer = runnerConsumerName(boundary, 'builder-1');
    // A delivery keeps its own subject, so a plain request would not know it for an answer.
    const inbox = createInbox(runnerInboxPrefix('builder-1'));
    const deliveries = runner.subscribe(inbox, { max: 1 });
    await send(`$JS.API.CONSUMER.MSG.NEXT.COMMANDS.${consumer}`, {
      reply: inbox,
      body: JSON.stringify({ batch: 1, expires: 4_000_000_000 }),
    });
    const { value: pulled } = await deliveries[Symbol.asyncIterator]().next();
    invariant(pulled, 'an instruction came');
    expect(pulled.subject).toBe(entry.subject);
    expect(pulled.json()).toEqual(INSTRUCTION_EXAMPLES.cancel);
    expect(pulled.reply).toMatch(new RegExp(`^\\$JS\\.ACK\\.COMMANDS\\.${consumer}\\.`));
    await request(pulled.reply ?? '', '+ACK');
    const manager = await jetstreamManager(control.nc);
    const info = await manager.consumers.info('COMMANDS', consumer);
    expect(info).toMatchObject({ num_ack_pending: 0, ack_floor: { stream_seq: 1 } });
  });

  test('claim, renew and announce as its agent', async () => {
    for (const operation of RUNNER_OPERATIONS) {
      const subject = agentRequestSubject({ ...boundary, agent: 'builder-1' }, 'runs', operation);
      const served = control.nc.subscribe(subject, {
        callback: (_error, message) => void message.respond(operation),
      });
      await control.nc.flush();
      expect((await request(subject)).string()).toBe(operation);
      served.unsubscribe();
    }
  });

  test('park what it cannot process, under a name of its own', async () => {
    const subject = typedSubject(boundary, 'dead', runnerUser('builder-1'), 'undecodable');
    expect(await jetstream(runner).publish(subject, '{}')).toMatchObject({ stream: 'DEADLETTERS' });
  });

  test('take its instructions through the queue port', async () => {
    const entry = encodeInstruction('turn', INSTRUCTION_EXAMPLES.turn, {
      boundary,
      target: 'builder-1',
      id: 'cmd_2',
      source: '/service/runs',
      actor: 'user:anna',
      timeMs: clock.now(),
    });
    await createEventLog(control, { stream: 'COMMANDS' }).append(entry);
    const consumer = runnerConsumerName(boundary, 'builder-1');
    const queue = openWorkQueue(ports, { stream: 'COMMANDS', consumer });
    const taken = new AbortController();
    for await (const batch of queue.batches({ max: 10, signal: taken.signal })) {
      expect(batch.map((delivery) => delivery.entry.subject)).toEqual([entry.subject]);
      for (const delivery of batch) delivery.ack();
      taken.abort();
    }
  });

  test('put a large body through the blob port, where the control plane reads it, but not read it back', async () => {
    const bytes = new Uint8Array(300_000).map((_, index) => index % 251);
    const blobs = openBlobs(ports, { bucket: 'bodies' });
    const digest = await blobs.put(bytes);
    const { bytes: stored } = await bodies();
    expect(await blobs.put(bytes)).toBe(digest);
    expect((await bodies()).bytes, 'the same bytes are stored once').toBe(stored);
    const readBack = await openBlobs(control, { bucket: 'bodies' }).get(digest);
    expect(Buffer.compare(readBack ?? new Uint8Array(), bytes)).toBe(0);
    await expect(blobs.get(digest)).rejects.toMatchObject({ code: 'BLOBS_REFUSED' });
  });
});

describe('a runner may not', () => {
  const asked = (agent: string, operation: string, place: Boundary = boundary): string =>
    agentRequestSubject({ ...place, agent }, 'runs', operation);
  const consumerOfOther = runnerConsumerName(boundary, 'builder-2');
  const FORBIDDEN: Readonly<Record<string, string>> = {
    'report as another agent': subjectOf('builder-2'),
    'report in another project': typedSubject({ ...boundary, project: 'other' }, 'evt', 'builder-1', 'text'),
    'write a transition': 'fleet.acme.web.run.13.run_01KAJ5M8E0R3YV1D6C2T9ZQ4XB',
    'write an instruction': typedSubject(boundary, 'cmd', 'builder-1', 'turn'),
    'park in the name of a service': typedSubject(boundary, 'dead', 'runs', 'undecodable'),
    'park in the name of another runner': typedSubject(
      boundary,
      'dead',
      runnerUser('builder-2'),
      'undecodable',
    ),
    'write a key': '$KV.leases.acme.web.run.x',
    'create a consumer': '$JS.API.CONSUMER.CREATE.EVENTS.spy',
    'create a durable consumer': '$JS.API.CONSUMER.DURABLE.CREATE.COMMANDS.spy',
    'pull the instructions of another': `$JS.API.CONSUMER.MSG.NEXT.COMMANDS.${consumerOfOther}`,
    'look at a consumer': `$JS.API.CONSUMER.INFO.COMMANDS.${runnerConsumerName(boundary, 'builder-1')}`,
    'pull from another stream': '$JS.API.CONSUMER.MSG.NEXT.EVENTS.runs-reports',
    'acknowledge for another': `$JS.ACK.COMMANDS.${consumerOfOther}.1.1.1.1.1`,
    'read any entry by its sequence': '$JS.API.STREAM.MSG.GET.EVENTS',
    'look at a stream': '$JS.API.STREAM.INFO.EVENTS',
    'purge a stream': '$JS.API.STREAM.PURGE.EVENTS',
    'read a body back': '$JS.API.STREAM.MSG.GET.OBJ_bodies',
    'delete a stream': '$JS.API.STREAM.DELETE.EVENTS',
    'look at its account': '$JS.API.INFO',
    'ask for a run to be created': requestSubject(boundary, 'runs', 'create'),
    ...Object.fromEntries(
      RUNNER_OPERATIONS.flatMap((operation) => [
        [`${operation} as another agent`, asked('builder-2', operation)],
        [`${operation} as nobody`, requestSubject(boundary, 'runs', operation)],
        [`${operation} in another project`, asked('builder-1', operation, { ...boundary, project: 'other' })],
      ]),
    ),
    'send to another runner’s inbox': `${runnerInboxPrefix('builder-2')}.x`,
  };
  for (const [what, subject] of Object.entries(FORBIDDEN))
    test(what, async () => {
      await expect(request(subject, '{}')).rejects.toThrow(/Permissions Violation for Publish/);
    });

  test('listen to anything but its own inbox', async () => {
    for (const subject of ['>', 'fleet.>', '_INBOX.>', '$JS.>', `${runnerInboxPrefix('builder-2')}.>`]) {
      const before = refusals.length;
      const subscription = runner.subscribe(subject, { callback: () => {} });
      await runner.flush();
      await expect(subscription.closed)
        .rejects.toThrow(/Permissions Violation for Subscription/)
        .catch(() => {
          expect(refusals.length).toBeGreaterThan(before);
        });
    }
  });

  test('make the broker write its acknowledgement to somebody else’s subject', async () => {
    const target = subjectOf('builder-2', 'forged');
    await send(subjectOf('builder-1'), { reply: target });
    await send(subjectOf('builder-1'), { reply: 'fleet.acme.web.run.13.run_01KAJ5M8E0R3YV1D6C2T9ZQ4XB' });
    await send(`$JS.API.DIRECT.GET.EVENTS.${subjectOf('builder-1')}`, { reply: target, body: '' });
    await send(`$JS.API.CONSUMER.MSG.NEXT.COMMANDS.${runnerConsumerName(boundary, 'builder-1')}`, {
      reply: target,
      body: JSON.stringify({ batch: 1, no_wait: true }),
    });
    // A stored report after the forgeries shows that the broker has worked them off.
    await jetstream(runner).publish(subjectOf('builder-1', 'output'), '{}');
    expect(await storedIn('EVENTS', 'fleet.*.*.evt.*.builder-2.*')).toBe(0);
    expect(await storedIn('TRANSITIONS', '>')).toBe(0);
  });

  test('make the broker write its acknowledgement to a request or an inbox of the control plane', async () => {
    const seen: string[] = [];
    const inbox = createInbox();
    const subscriptions = [inbox, requestSubject(boundary, 'runs', 'create')].map((subject) =>
      control.nc.subscribe(subject, { callback: (_error, message) => void seen.push(message.subject) }),
    );
    await control.nc.flush();
    await send(subjectOf('builder-1'), { reply: inbox });
    await send(subjectOf('builder-1'), { reply: requestSubject(boundary, 'runs', 'create') });
    await jetstream(runner).publish(subjectOf('builder-1', 'output'), '{}');
    await control.nc.flush();
    expect(seen).toEqual([]);
    for (const subscription of subscriptions) subscription.unsubscribe();
  });

  test('connect with the password of another', async () => {
    await expect(
      connect({ servers: broker.url, user: runnerUser('builder-2'), pass: 'one', maxReconnectAttempts: 0 }),
    ).rejects.toThrow(/Authorization Violation/i);
  });
});
