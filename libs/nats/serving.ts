// One served subject of an instance: what it has in hand, whichever way it was asked, and no more of it than is allowed. Does not listen
// (requests.ts) and does not choose who is asked.
import type { Headers } from '#libs/ports/event-log.ts';
import { MAX_REQUESTS_IN_HAND, type RequestMessage, type RequestServer } from '#libs/ports/requests.ts';

/** What a handler gives. */
export interface Reply {
  readonly headers?: Headers;
  readonly body: Uint8Array;
}

const ERROR_CODE = 'Nats-Service-Error-Code';
const BUSY_CODE = '503';

/** How a request is turned away: the headers that NATS services answer an error with, so that other clients understand it too. */
export const BUSY: Headers = { 'Nats-Service-Error': 'busy', [ERROR_CODE]: BUSY_CODE };

export const isBusy = (headers: Headers): boolean => headers[ERROR_CODE] === BUSY_CODE;

/** Is told what became of a request; exactly one of these is called. */
export interface Asker {
  /** Should this throw, the request has failed. */
  readonly answered: (reply: Reply) => void;
  /** There was too much in hand: nothing was done. Called before {@link Serving.take} returns. */
  readonly turnedAway: () => void;
  /** The handler has thrown: there is no answer. */
  readonly failed: () => void;
}

export interface ServingParts {
  /** Wildcards allowed. */
  readonly subject: string;
  /** Of the instances that share its requests. */
  readonly group: string;
  readonly handler: Parameters<RequestServer['serve']>[2];
  readonly onError: (error: unknown, message: RequestMessage) => void;
}

export class Serving {
  readonly subject: string;
  readonly group: string;
  readonly #parts: ServingParts;
  readonly #inHand = new Set<Promise<void>>();

  constructor(parts: ServingParts) {
    this.subject = parts.subject;
    this.group = parts.group;
    this.#parts = parts;
  }

  take(message: RequestMessage, asker: Asker): void {
    if (this.#inHand.size >= MAX_REQUESTS_IN_HAND) return asker.turnedAway();
    const work = this.#answer(message, asker).finally(() => this.#inHand.delete(work));
    this.#inHand.add(work);
  }

  /** Resolves when what is in hand now has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#inHand);
  }

  async #answer(message: RequestMessage, asker: Asker): Promise<void> {
    try {
      asker.answered(await this.#parts.handler(message));
    } catch (error) {
      this.#parts.onError(error, message);
      asker.failed();
    }
  }
}
