// What is published in one turn of the event loop goes to the socket in one write. The client writes after each step of the promises that
// publish; the broker then reads, works and answers in as many small steps, and wakes this process for each answer. Keeps the order, adds no
// timer, and holds nothing back beyond the turn; what grows beyond {@link MOST_BYTES} is written at once.
// The client's writer is a field of its own (version pinned); should that change, it writes as it always did.
import { textBytes } from '#libs/kernel/text-bytes.ts';
import type { NatsConnection } from '@nats-io/transport-node';

interface ClientWriter {
  flushPending: () => void;
  sendCommand: (command: string | Uint8Array, ...payloads: readonly Uint8Array[]) => void;
  readonly outbound: { size(): number };
}

/** The client's own limit: so much is not copied again. */
const MOST_BYTES = 32 * 1024;

const writerOf = (nc: NatsConnection): ClientWriter | undefined => {
  const { protocol } = nc as unknown as { readonly protocol?: Partial<ClientWriter> };
  const isKnown =
    typeof protocol?.flushPending === 'function' &&
    typeof protocol.sendCommand === 'function' &&
    typeof protocol.outbound?.size === 'function';
  return isKnown ? (protocol as ClientWriter) : undefined;
};

/** What is done at the end of a turn of the event loop, and who waits for that. */
class TurnEnd {
  #work: (() => void) | undefined;
  #waiting: (() => void)[] = [];
  #isPlanned = false;

  /** Does this then; the last one counts. */
  plan(work: () => void): void {
    this.#work = work;
    this.#await();
  }

  /** Resolves when it is done. */
  passed(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#await();
    });
  }

  #await(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(this.#end);
  }

  readonly #end = (): void => {
    this.#isPlanned = false;
    const work = this.#work;
    this.#work = undefined;
    work?.();
    if (this.#waiting.length > 0) for (const resolve of this.#waiting.splice(0)) resolve();
  };
}

/**
 * Changes how `nc` writes, also after it has reconnected. Gives a function whose promise resolves once what is published in this turn of the
 * event loop is written: for work that can wait until then.
 */
export const writeTogether = (nc: NatsConnection): (() => Promise<void>) => {
  const turnEnd = new TurnEnd();
  const written = (): Promise<void> => turnEnd.passed();
  const writer = writerOf(nc);
  if (writer === undefined) return written;
  const write = writer.flushPending.bind(writer);
  const send = writer.sendCommand.bind(writer);
  // The line of a message becomes bytes without a buffer of its own.
  writer.sendCommand = (command, ...payloads) =>
    send(typeof command === 'string' ? textBytes(command) : command, ...payloads);
  writer.flushPending = () => {
    if (writer.outbound.size() >= MOST_BYTES) write();
    else turnEnd.plan(write);
  };
  return written;
};
