// What only the publisher and the requests on NATS have: answers of strangers, many in flight, and callers that throw nothing.
import { createEventLog } from '#libs/nats/event-log.ts';
import { createPublisher } from '#libs/nats/publisher.ts';
import { createRequestClient, createRequestServer } from '#libs/nats/requests.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import type { PublishOutcome } from '#libs/ports/publisher.ts';
import { freshName } from '#test/support/fresh-name.ts';
import { testConnection } from '#test/support/nats-connection.ts';
import { describe, expect, it, vi } from 'vitest';

const body = new TextEncoder().encode('{}');

describe('the publisher', () => {
  it('never has more in flight than its window, and loses nothing of many', async () => {
    const connection = await testConnection();
    const stream = freshName('burst');
    await natsTopology(connection).createStream({ name: stream, subjects: [`${stream}.>`] });
    const publisher = createPublisher(connection, { window: 100 });
    let inFlight = 0;
    let most = 0;
    let stored = 0;
    const settle = async (outcome: Promise<PublishOutcome>): Promise<void> => {
      const { kind } = await outcome;
      inFlight -= 1;
      if (kind === 'stored') stored += 1;
    };
    for (let n = 0; n < 5_000; n += 1) {
      const { outcome } = await publisher.publish({ subject: `${stream}.a`, id: `e${n}`, headers: {}, body });
      inFlight += 1;
      most = Math.max(most, inFlight);
      void settle(outcome);
    }
    await publisher.drained();
    await expect.poll(() => stored).toBe(5_000);
    expect(most).toBeLessThanOrEqual(101);
    expect((await createEventLog(connection, { stream }).bounds()).entries).toBe(5_000);
    await connection.close();
  });

  it('takes an answer that is not the broker’s for a refusal', async () => {
    const connection = await testConnection();
    const subject = freshName('stranger');
    connection.nc.subscribe(subject, { callback: (_, message) => void message.respond('who are you?') });
    const publisher = createPublisher(connection);
    const { outcome } = await publisher.publish({ subject, id: '1', headers: {}, body });
    expect(await outcome).toMatchObject({ kind: 'refused', code: 'LOG_REFUSED' });
    const outcomes: PublishOutcome[] = [];
    expect(
      publisher.tryPublish({ subject: 'bad subject', id: '1', headers: {}, body }, (one) =>
        outcomes.push(one),
      ),
    ).toBe(true);
    await publisher.drained();
    expect(outcomes).toMatchObject([{ kind: 'refused', code: 'LOG_REFUSED' }]);
    await connection.close();
  });

  it('says that nobody takes the subject now without calling it refused', async () => {
    const connection = await testConnection();
    const publisher = createPublisher(connection);
    const { outcome } = await publisher.publish({ subject: freshName('nobody'), id: '1', headers: {}, body });
    expect(await outcome).toMatchObject({ kind: 'unreachable' });
    await connection.close();
  });
});

describe('requests', () => {
  it('of many callers find their own answers over one subscription', async () => {
    const asking = await testConnection();
    const serving = await testConnection();
    const subject = freshName('echo');
    const errors: unknown[] = [];
    const served = createRequestServer(serving, { onError: (error) => errors.push(error) }).serve(
      subject,
      'g',
      async (message) => {
        if (message.headers['X-Fail'] === 'yes') throw new Error('as asked');
        return { body: message.body };
      },
    );
    await serving.nc.flush();
    const client = createRequestClient(asking);
    const answers = await Promise.all(
      Array.from({ length: 500 }, (_, n) =>
        client.request(subject, new TextEncoder().encode(`${n}`), { timeoutMs: 5_000 }),
      ),
    );
    expect(answers.map((answer) => new TextDecoder().decode(answer.body))).toEqual(
      Array.from({ length: 500 }, (_, n) => `${n}`),
    );
    const failing = client.request(subject, body, { timeoutMs: 100, headers: { 'X-Fail': 'yes' } });
    await expect(failing).rejects.toMatchObject({ code: 'REQUEST_UNANSWERED', retry: 'later' });
    // The asker gives up by its own clock; on a busy machine that may be before the request was served.
    await vi.waitFor(() => expect(errors).toMatchObject([{ message: 'as asked' }]));
    await served.stop();
    await asking.close();
    await serving.close();
    await expect(client.request(subject, body, { timeoutMs: 100 })).rejects.toMatchObject({
      code: 'REQUEST_UNAVAILABLE',
    });
  });
});
