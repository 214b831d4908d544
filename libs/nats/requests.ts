// Request and reply on core NATS: nothing is stored, an answer comes or does not.
import type { Headers } from '#libs/ports/event-log.ts';
import type { RequestClient, RequestMessage, RequestServer } from '#libs/ports/requests.ts';
import type { Msg } from '@nats-io/transport-node';
import type { NatsConnectionHandle } from './connect.ts';
import { portFault, thrownFault } from './errors.ts';
import { bodyBytes, isUnserved, receivedHeaders } from './raw-message.ts';
import { LostReply } from './reply-inbox.ts';
import { headerBlock, headerLines } from './wire-headers.ts';

const REQUEST = 'REQUEST';

/** An empty header block is none: the broker would have to send it. */
const blockOf = (headers: Headers | undefined): Uint8Array | undefined => {
  const lines = headers === undefined ? '' : headerLines(headers);
  return lines === '' ? undefined : headerBlock(lines);
};

const unanswered = (subject: string, reason: string): Error =>
  portFault(REQUEST, 'UNANSWERED', `request ${subject}: ${reason}`);

/** Asks over this connection. One subscription serves all requests. */
export const createRequestClient = (connection: NatsConnectionHandle): RequestClient => ({
  request: async (subject, body, { timeoutMs, headers }) => {
    let message: Msg;
    try {
      message = await connection.inbox.request(subject, body, timeoutMs, blockOf(headers));
    } catch (error) {
      if (error instanceof LostReply && error.reason === 'timeout')
        throw unanswered(subject, `no answer within ${timeoutMs} ms; the work may have been done`);
      throw thrownFault(REQUEST, `request ${subject}`, error);
    }
    if (isUnserved(message)) throw unanswered(subject, 'nobody serves it');
    return { headers: receivedHeaders(message).headers, body: bodyBytes(message) };
  },
});

export interface RequestServerOptions {
  /** A handler threw; its caller will see no answer. */
  readonly onError: (error: unknown, message: RequestMessage) => void;
}

/** Serves over this connection. */
export const createRequestServer = (
  connection: NatsConnectionHandle,
  { onError }: RequestServerOptions,
): RequestServer => ({
  serve: (subject, group, handler) => {
    const underWay = new Set<Promise<void>>();
    const answer = async (message: Msg): Promise<void> => {
      const { headers } = receivedHeaders(message);
      const request: RequestMessage = { subject: message.subject, headers, body: bodyBytes(message) };
      try {
        const reply = await handler(request);
        if (message.reply === undefined || message.reply === '' || connection.nc.isClosed()) return;
        connection.inbox.publish(message.reply, reply.body, blockOf(reply.headers));
      } catch (error) {
        onError(error, request);
      }
    };
    const accept = (message: Msg): void => {
      const work = answer(message).finally(() => underWay.delete(work));
      underWay.add(work);
    };
    const subscription = connection.nc.subscribe(subject, {
      queue: group,
      callback: (problem, message) => {
        if (problem === null) accept(message);
      },
    });
    return {
      /** Takes no more requests, and resolves when those under way are answered. */
      stop: async () => {
        if (connection.connected && !subscription.isClosed()) await subscription.drain().catch(() => {});
        else subscription.unsubscribe();
        await Promise.all(underWay);
      },
    };
  },
});
