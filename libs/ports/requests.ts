// Request and reply between processes as a port. Real: libs/nats/requests.ts. In memory: libs/memory/requests.ts.
import type { Headers } from './event-log.ts';

export interface RequestMessage {
  readonly subject: string;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/**
 * Faults: `REQUEST_UNANSWERED` (later: nobody serves the subject, or no answer within `timeoutMs`; the work may have been done),
 * `REQUEST_BUSY` (later: the server has too much in hand; nothing was done), `REQUEST_UNAVAILABLE` (later: broker away),
 * `REQUEST_REFUSED` (never: no permission), `REQUEST_TOO_LARGE` (never: more than the broker carries in one message, less some room; nothing was sent).
 * In memory everything is carried.
 */
export interface RequestClient {
  request(
    subject: string,
    body: Uint8Array,
    options: { readonly timeoutMs: number; readonly headers?: Headers },
  ): Promise<{ readonly headers: Headers; readonly body: Uint8Array }>;
}

/** Requests of one served subject that an instance has in hand at most; more are turned away at once, so that a flood costs bounded memory. */
export const MAX_REQUESTS_IN_HAND = 1024;

export interface RequestServer {
  /**
   * Serves a subject (wildcards allowed); instances of one `group` share the requests. The handler's answer is sent; if it throws, the
   * caller sees `REQUEST_UNANSWERED`. With {@link MAX_REQUESTS_IN_HAND} under way the caller sees `REQUEST_BUSY` and the handler nothing.
   */
  serve(
    subject: string,
    group: string,
    handler: (message: RequestMessage) => Promise<{ readonly headers?: Headers; readonly body: Uint8Array }>,
  ): { readonly stop: () => Promise<void> };
  /** Resolves when whoever asks from now on finds what is served so far, or the connection has ended. Waits while the broker is away. */
  heard(): Promise<void>;
}
