// Who serves what over a connection, so that whoever asks over the same one is answered without the way to the broker and back: a process
// that runs all services asks mostly itself, and that way was a tenth of the time of a hand-over each time.
//
// Nobody can do more by it. Who asks and who answers share the connection and so its user; the broker keeps users apart, and a runner, a
// host or a stranger has a user and a connection of its own and comes through the broker as ever. In whose name something is asked is read from
// the subject here as there, and a subject that the broker has refused to this user is left to it.
// Nor is anything answered otherwise: headers and bodies are those that the broker would carry (as bytes, copied: nothing is shared); what
// is too large for it, or asked while it is away, is left to it; and the loss of the connection ends what is under way.
import type { RequestClient } from '#libs/ports/requests.ts';
import type { Headers } from '#libs/ports/event-log.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { portFault } from './errors.ts';
import { LostReply } from './reply-inbox.ts';
import { BUSY, type Reply, type Serving } from './serving.ts';
import { subjectPattern } from './subject-filter.ts';
import { headerBlock, headerLines, parseHeaderBlock } from './wire-headers.ts';

/** An answer as it comes to whoever asked. */
export interface Answered {
  readonly headers: Headers;
  readonly body: Uint8Array;
}

type Options = Parameters<RequestClient['request']>[2];

interface Served {
  readonly serving: Serving;
  readonly pattern: RegExp;
}

/** Until the broker has said how much it carries. */
const USUAL_MAX_BYTES = 1024 * 1024;

export class ServedWithin {
  readonly #connection: NatsConnectionHandle;
  /** Those whose turn it is first stand first. */
  #served: readonly Served[] = [];
  /** Ends the requests under way. */
  readonly #underWay = new Set<(reason: 'disconnected' | 'closed') => void>();

  constructor(connection: NatsConnectionHandle) {
    this.#connection = connection;
    connection.onConnectivity((isConnected) => {
      if (isConnected) return;
      for (const end of this.#underWay) end(connection.isClosed ? 'closed' : 'disconnected');
    });
  }

  add(serving: Serving): void {
    this.#served = [...this.#served, { serving, pattern: subjectPattern([serving.subject]) }];
  }

  remove(serving: Serving): void {
    this.#served = this.#served.filter((one) => one.serving !== serving);
  }

  /**
   * Asks whoever serves the subject here; undefined: nobody does, or it is for the broker. Rejects as {@link ReplyInbox.request} does,
   * and with `REQUEST_UNANSWERED` (later) at once when the handler throws. Throws `LOG_REFUSED` (never) for headers that are none.
   */
  ask(subject: string, body: Uint8Array, options: Options): Promise<Answered> | undefined {
    const { inbox, connected } = this.#connection;
    if (this.#served.length === 0 || !connected || inbox.isForbidden(subject)) return undefined;
    const serving = this.#choose(subject);
    const carried = serving && this.#carried({ body, ...(options.headers && { headers: options.headers }) });
    return carried && this.#handOver(serving, { subject, ...carried }, options.timeoutMs);
  }

  /** Instances of one group take turns. What several groups here serve, or tools ask of everybody, is for the broker. */
  #choose(subject: string): Serving | undefined {
    if (subject.startsWith('$')) return undefined;
    const matching = this.#served.filter(({ pattern }) => pattern.test(subject));
    const [first, ...others] = matching;
    if (first === undefined) return undefined;
    if (others.some(({ serving }) => serving.group !== first.serving.group)) return undefined;
    if (others.length > 0) this.#served = [...this.#served.filter((one) => one !== first), first];
    return first.serving;
  }

  /** What would come of it at the other end; undefined: the broker does not carry as much. */
  #carried({ headers, body }: Reply): Answered | undefined {
    const lines = headers === undefined ? '' : headerLines(headers);
    const block = lines === '' ? undefined : headerBlock(lines);
    const maxBytes = this.#connection.nc.info?.max_payload ?? USUAL_MAX_BYTES;
    if (body.byteLength + (block?.byteLength ?? 0) > maxBytes) return undefined;
    return { headers: block === undefined ? {} : parseHeaderBlock(block).headers, body: body.slice() };
  }

  #handOver(
    serving: Serving,
    message: Answered & { readonly subject: string },
    timeoutMs: number,
  ): Promise<Answered> {
    const { subject } = message;
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        cancel();
        this.#underWay.delete(lose);
        settle();
      };
      const lose = (reason: 'timeout' | 'disconnected' | 'closed'): void =>
        end(() => reject(new LostReply(subject, reason)));
      const cancel = this.#connection.clock.timer(timeoutMs, () => lose('timeout'));
      this.#underWay.add(lose);
      // As from a socket: not within the call of whoever asks.
      queueMicrotask(() =>
        serving.take(message, {
          answered: (reply) => {
            const carried = this.#carried(reply);
            if (carried === undefined)
              throw portFault(
                'REQUEST',
                'REFUSED',
                `the answer to ${subject} is larger than the broker carries`,
              );
            end(() => resolve(carried));
          },
          turnedAway: () => end(() => resolve({ headers: BUSY, body: new Uint8Array() })),
          failed: () =>
            end(() =>
              reject(portFault('REQUEST', 'UNANSWERED', `request ${subject}: who serves it has failed`)),
            ),
        }),
      );
    });
  }
}
