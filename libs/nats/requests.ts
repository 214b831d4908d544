// Request and reply on core NATS: nothing is stored, an answer comes or does not. Who serves a subject over the connection that it is asked over
// answers directly (served-within.ts).
import type { Headers } from '#libs/ports/event-log.ts';
import type { RequestClient, RequestMessage, RequestServer } from '#libs/ports/requests.ts';
import type { Msg } from '@nats-io/transport-node';
import type { NatsConnectionHandle } from './connect.ts';
import { portFault, thrownFault } from './errors.ts';
import { bodyBytes, isUnserved, receivedHeaders } from './raw-message.ts';
import { LostReply } from './reply-inbox.ts';
import type { Answered, ServedWithin } from './served-within.ts';
import { BUSY, isBusy, Serving } from './serving.ts';
import { headerBlock, headerLines } from './wire-headers.ts';

const REQUEST = 'REQUEST';

/** An empty header block is none: the broker would have to send it. */
const blockOf = (headers: Headers | undefined): Uint8Array | undefined => {
  const lines = headers === undefined ? '' : headerLines(headers);
  return lines === '' ? undefined : headerBlock(lines);
};

const unanswered = (subject: string, reason: string): Error =>
  portFault(REQUEST, 'UNANSWERED', `request ${subject}: ${reason}`);

/** Kept free of what the broker carries (16 KiB of 1 MiB): headers, and what stands around a request where its server puts it on record. */
const ROOM = 1 / 64;

/** Said here, with both figures: a server could not put it on record, and the broker would end the connection for more. */
const refuseTooLarge = ({ nc }: NatsConnectionHandle, subject: string, { byteLength }: Uint8Array): void => {
  const carried = nc.info?.max_payload ?? Number.POSITIVE_INFINITY;
  const most = carried * (1 - ROOM);
  if (byteLength <= most) return;
  const message = `request ${subject}: ${byteLength} bytes, and ${Math.floor(most)} are the most (the broker carries ${carried} in one message)`;
  throw portFault(REQUEST, 'TOO_LARGE', message);
};

const askBroker = async (
  { inbox }: NatsConnectionHandle,
  subject: string,
  body: Uint8Array,
  { timeoutMs, headers }: Parameters<RequestClient['request']>[2],
): Promise<Answered> => {
  const message = await inbox.request(subject, body, timeoutMs, blockOf(headers));
  if (isUnserved(message)) throw unanswered(subject, 'nobody serves it');
  return { headers: receivedHeaders(message).headers, body: bodyBytes(message) };
};

/** Asks over this connection. One subscription serves all requests. `within`: who serves over it. */
export const createRequestClient = (
  connection: NatsConnectionHandle,
  within?: ServedWithin,
): RequestClient => ({
  request: async (subject, body, options) => {
    refuseTooLarge(connection, subject, body);
    try {
      const asked = within?.ask(subject, body, options) ?? askBroker(connection, subject, body, options);
      const answer = await asked;
      if (!isBusy(answer.headers)) return answer;
    } catch (error) {
      if (error instanceof LostReply && error.reason === 'timeout')
        throw unanswered(subject, `no answer within ${options.timeoutMs} ms; the work may have been done`);
      throw thrownFault(REQUEST, `request ${subject}`, error);
    }
    throw portFault(REQUEST, 'BUSY', `request ${subject}: the server has too much in hand; try again`);
  },
});

export interface RequestServerOptions {
  /** A handler threw; its caller will see no answer. */
  readonly onError: (error: unknown, message: RequestMessage) => void;
  /** Takes note of what is served, for those who ask over the same connection. */
  readonly within?: ServedWithin;
}

/** Serves over this connection. */
export const createRequestServer = (
  connection: NatsConnectionHandle,
  { onError, within }: RequestServerOptions,
): RequestServer => ({
  serve: (subject, group, handler) => {
    const serving = new Serving({ subject, group, handler, onError });
    const accept = (message: Msg): void => {
      const { reply = '' } = message;
      const { headers } = receivedHeaders(message);
      serving.take(
        { subject: message.subject, headers, body: bodyBytes(message) },
        {
          answered: (answer) => {
            if (reply === '' || connection.nc.isClosed()) return;
            connection.inbox.publish(reply, answer.body, blockOf(answer.headers));
          },
          turnedAway: () => {
            if (reply !== '') connection.inbox.publish(reply, new Uint8Array(), blockOf(BUSY));
          },
          // Whoever asked waits until its time is over.
          failed: () => undefined,
        },
      );
    };
    const subscription = connection.nc.subscribe(subject, {
      queue: group,
      callback: (problem, message) => {
        if (problem === null) accept(message);
      },
    });
    within?.add(serving);
    return {
      /** Takes no more requests, and resolves when those under way are answered. */
      stop: async () => {
        within?.remove(serving);
        if (connection.connected && !subscription.isClosed()) await subscription.drain().catch(() => {});
        else subscription.unsubscribe();
        await serving.settled();
      },
    };
  },
  heard: () => connection.nc.flush().catch(() => undefined),
});
