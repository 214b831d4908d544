// Request and reply on core NATS: nothing is stored, an answer comes or does not.
import type { Headers } from '#libs/ports/event-log.ts';
import {
  MAX_REQUESTS_IN_HAND,
  type RequestClient,
  type RequestMessage,
  type RequestServer,
} from '#libs/ports/requests.ts';
import type { Msg } from '@nats-io/transport-node';
import type { NatsConnectionHandle } from './connect.ts';
import { portFault, thrownFault } from './errors.ts';
import { bodyBytes, isUnserved, receivedHeaders } from './raw-message.ts';
import { LostReply } from './reply-inbox.ts';
import { headerBlock, headerLines } from './wire-headers.ts';

const REQUEST = 'REQUEST';

/** How a server turns a request away: the headers that NATS services answer an error with, so that other clients understand it too. */
const ERROR_CODE = 'Nats-Service-Error-Code';
const BUSY_CODE = '503';
const BUSY = headerBlock(headerLines({ 'Nats-Service-Error': 'busy', [ERROR_CODE]: BUSY_CODE }));

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
    const { headers: answered } = receivedHeaders(message);
    if (answered[ERROR_CODE] === BUSY_CODE)
      throw portFault(REQUEST, 'BUSY', `request ${subject}: the server has too much in hand; try again`);
    return { headers: answered, body: bodyBytes(message) };
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
    const turnAway = ({ reply }: Msg): void => {
      if (reply !== undefined && reply !== '') connection.inbox.publish(reply, new Uint8Array(), BUSY);
    };
    const accept = (message: Msg): void => {
      if (underWay.size >= MAX_REQUESTS_IN_HAND) return turnAway(message);
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
  heard: () => connection.nc.flush().catch(() => undefined),
});
