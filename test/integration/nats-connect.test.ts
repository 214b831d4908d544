// How the connection begins, how it tells what it is, and what it refuses.
import { connectNats, type ConnectionStatus } from '#libs/nats/connect.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { natsTopology, REQUIRED_API_LEVEL } from '#libs/nats/topology.ts';
import { openWorkQueue } from '#libs/nats/work-queue.ts';
import { systemClock } from '#libs/system/clock.ts';
import { findFreePort } from '#libs/broker/free-port.ts';
import { freshBroker, testBroker } from '#test/support/broker.ts';
import { connectTo, testConnection } from '#test/support/nats-connection.ts';
import { freshName } from '#test/support/fresh-name.ts';
import { describe, expect, it } from 'vitest';

const POLL = { timeout: 15_000, interval: 5 };

/** What the client calls to write to its socket; counted, and otherwise as it is. */
interface ClientWire {
  readonly protocol: { readonly transport: { send(frame: Uint8Array): void } };
}

describe('writing', () => {
  it('sends what is published in one turn of the event loop in one write, in order, and holds nothing back', async () => {
    const connection = await testConnection();
    const subject = freshName('together');
    const received: string[] = [];
    const all = Promise.withResolvers<void>();
    connection.nc.subscribe(subject, {
      callback: (_error, message) => {
        received.push(message.string());
        if (received.length === 100) all.resolve();
      },
    });
    await connection.nc.flush();
    const { transport } = (connection.nc as unknown as ClientWire).protocol;
    const send = transport.send.bind(transport);
    let writes = 0;
    transport.send = (frame) => {
      writes += 1;
      send(frame);
    };
    for (let n = 0; n < 100; n += 1) {
      connection.nc.publish(subject, String(n));
      await Promise.resolve();
    }
    await all.promise;
    transport.send = send;
    expect(received).toEqual(Array.from({ length: 100 }, (_, n) => String(n)));
    expect(writes).toBe(1);
    await connection.close();
  });
});

describe('connecting', () => {
  it('says which address does not answer, and what to do', async () => {
    const port = await findFreePort('127.0.0.1');
    const connecting = connectNats({ servers: [`127.0.0.1:${port}`], name: 'test', clock: systemClock });
    await expect(connecting).rejects.toMatchObject({
      code: 'BROKER_UNREACHABLE',
      retry: 'later',
      message: expect.stringMatching(new RegExp(`127\\.0\\.0\\.1:${port}.*start it, or correct the address`)),
    });
  });

  it('fails for ever with a wrong password, however long it may wait, and does not repeat the password', async () => {
    const broker = await testBroker();
    const connecting = connectTo({ ...broker, urls: [broker.url], password: 'hunter2' }, { waitMs: 60_000 });
    await expect(connecting).rejects.toMatchObject({
      code: 'BROKER_UNAUTHORIZED',
      retry: 'never',
      message: expect.not.stringContaining('hunter2'),
    });
  });

  it('waits for a broker that comes up later', async () => {
    await using broker = await freshBroker();
    await broker.kill();
    const connecting = connectTo({ ...broker, urls: [broker.url] }, { waitMs: 20_000 });
    await broker.restart();
    const connection = await connecting;
    expect(connection.connected).toBe(true);
    await connection.close();
    expect(connection.connected).toBe(false);
  });

  it('gives up waiting when told to', async () => {
    const port = await findFreePort('127.0.0.1');
    const stop = new AbortController();
    const connecting = connectNats({
      servers: [`127.0.0.1:${port}`],
      name: 'test',
      clock: systemClock,
      waitMs: 60_000,
      signal: stop.signal,
    });
    stop.abort();
    await expect(connecting).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' });
  });

  it('reports each loss and return, and whether it is connected now', async () => {
    await using broker = await freshBroker();
    const seen: ConnectionStatus['kind'][] = [];
    const connection = await connectTo(
      { ...broker, urls: [broker.url] },
      { onStatus: ({ kind }) => seen.push(kind) },
    );
    await broker.kill();
    await expect.poll(() => connection.connected, POLL).toBe(false);
    expect(await connection.whenConnected({ withinMs: 1 })).toBe(false);
    await broker.restart();
    expect(await connection.whenConnected()).toBe(true);
    await connection.close();
    expect(seen.filter((kind) => kind !== 'error')).toEqual([
      'connected',
      'disconnected',
      'reconnected',
      'closed',
    ]);
  });
});

describe('closing', () => {
  it('is possible while the broker is away, and ends whatever waits for it', async () => {
    await using broker = await freshBroker();
    const connection = await connectTo({ ...broker, urls: [broker.url] });
    const stream = freshName('closing');
    await natsTopology(connection).createStream({ name: stream, subjects: [`${stream}.>`] });
    await natsTopology(connection).createConsumer(stream, { durable_name: 'one', ack_policy: 'explicit' });
    const log = createEventLog(connection, { stream });
    const { signal } = new AbortController();
    const following = log.replay({ follow: true })[Symbol.asyncIterator]().next();
    const queue = openWorkQueue(connection, { stream, consumer: 'one' });
    const taking = queue.batches({ max: 1, signal })[Symbol.asyncIterator]().next();
    const ends = Promise.all([
      expect(following).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' }),
      expect(taking).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' }),
    ]);
    await broker.kill();
    await expect.poll(() => connection.connected, POLL).toBe(false);
    const appending = expect(
      log.append({ subject: `${stream}.a`, id: '1', headers: {}, body: new Uint8Array(0) }),
    ).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' });
    await connection.close();
    await Promise.all([ends, appending]);
  });
});

describe('what the broker is and has', () => {
  it('is told by the topology', async () => {
    const connection = await testConnection();
    const info = await natsTopology(connection).serverInfo();
    expect(info.version).toMatch(/^\d+\.\d+/);
    expect(info.apiLevel).toBeGreaterThanOrEqual(REQUIRED_API_LEVEL);
    expect(info.isClustered).toBe(false);
    await connection.close();
  });

  it('lists streams and durable consumers as they are, and refuses nonsense with the code of the broker', async () => {
    const connection = await testConnection();
    const topology = natsTopology(connection);
    const stream = freshName('topology');
    await topology.createStream({ name: stream, subjects: [`${stream}.>`] });
    await topology.createConsumer(stream, {
      durable_name: 'one',
      ack_policy: 'explicit',
      filter_subject: `${stream}.a`,
    });
    await topology.updateConsumer(stream, {
      durable_name: 'one',
      ack_policy: 'explicit',
      filter_subject: `${stream}.b`,
    });
    const found = (await topology.listStreams()).find(({ name }) => name === stream);
    expect(found).toMatchObject({ config: { subjects: [`${stream}.>`] }, messages: 0, oldestAt: null });
    expect(await topology.listConsumers(stream)).toMatchObject([
      { name: 'one', config: { filter_subject: `${stream}.b` }, pending: 0, delivered: 0 },
    ]);
    await expect(topology.createStream({ name: stream, subjects: ['other.>'] })).rejects.toMatchObject({
      code: 'TOPOLOGY_REFUSED',
      detail: { brokerCode: 10058 },
    });
    await topology.deleteConsumer(stream, 'one');
    await topology.deleteConsumer(stream, 'one');
    expect(await topology.listConsumers(stream)).toEqual([]);
    expect(await topology.listConsumers(freshName('none'))).toEqual([]);
    await connection.close();
  });
});

describe('what is not provisioned', () => {
  it('is a fault that no retry can mend', async () => {
    const connection = await testConnection();
    const stream = freshName('missing');
    const log = createEventLog(connection, { stream });
    const entry = { subject: `${stream}.a`, id: '1', headers: {}, body: new Uint8Array(0) };
    const missing = { code: 'LOG_MISSING', retry: 'never' };
    await expect(log.append(entry)).rejects.toMatchObject(missing);
    await expect(log.appendTogether([entry, { ...entry, id: '2' }])).rejects.toMatchObject(missing);
    await expect(log.last(entry.subject)).rejects.toMatchObject(missing);
    await expect(log.bounds()).rejects.toMatchObject(missing);
    await expect(log.replay({ follow: true })[Symbol.asyncIterator]().next()).rejects.toMatchObject(missing);
    await natsTopology(connection).createStream({ name: stream, subjects: [`${stream}.>`] });
    const queue = openWorkQueue(connection, { stream, consumer: 'nobody' });
    const { signal } = new AbortController();
    const taking = queue.batches({ max: 1, signal })[Symbol.asyncIterator]().next();
    await expect(taking).rejects.toMatchObject({ code: 'QUEUE_MISSING', retry: 'never' });
    await expect(queue.backlog()).rejects.toMatchObject({ code: 'QUEUE_MISSING' });
    await connection.close();
  });
});
