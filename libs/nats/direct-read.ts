// Many messages in one request, straight from the replica that answers first: fast, and in a cluster possibly behind the
// leader. Streams that do not allow this are read one by one through the leader instead.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Msg } from '@nats-io/transport-node';
import type { Patience } from './broker-api.ts';
import { whyAway, type NatsConnectionHandle } from './connect.ts';
import { type FaultFamily, portFault, thrownFault } from './errors.ts';
import { readFromLeader } from './leader-read.ts';
import { isStatus, receivedHeaders } from './raw-message.ts';
import { LostReply, type ReplyHandler } from './reply-inbox.ts';
import { directEntry } from './stored-entry.ts';

export interface DirectParts {
  readonly connection: NatsConnectionHandle;
  readonly stream: string;
  readonly patience: Patience;
}

/** One request's worth. `more`: the broker has further matches. `unserved`: nobody answers direct reads of this stream. */
export interface DirectPage {
  readonly entries: readonly StoredEntry[];
  readonly more: boolean;
  readonly unserved: boolean;
  /** 413: more subjects match than one request may return. */
  readonly tooMany: boolean;
}

const encoder = new TextEncoder();

class PageHandler implements ReplyHandler {
  readonly #entries: StoredEntry[] = [];
  readonly #resolve: (page: DirectPage) => void;
  readonly #reject: (error: Error) => void;
  /** One message is the whole answer; no status follows it. */
  readonly #isSingle: boolean;

  constructor(
    resolve: (page: DirectPage) => void,
    reject: (error: Error) => void,
    { isSingle }: { readonly isSingle: boolean },
  ) {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#isSingle = isSingle;
  }

  onReply(message: Msg): boolean {
    if (!isStatus(message)) {
      this.#entries.push(directEntry(message));
      if (this.#isSingle)
        this.#resolve({ entries: this.#entries, more: false, unserved: false, tooMany: false });
      return this.#isSingle;
    }
    const { status, description, headers } = receivedHeaders(message);
    const isGood = status === 204 || status === 404 || status === 503 || status === 413;
    if (!isGood) this.#reject(new Error(`direct read: ${status} ${description}`));
    this.#resolve({
      entries: this.#entries,
      more: Number(headers['Nats-Num-Pending'] ?? 0) > 0,
      unserved: status === 503,
      tooMany: status === 413,
    });
    return true;
  }

  onLost(reason: LostReply['reason']): void {
    this.#reject(new LostReply('a direct read', reason));
  }
}

interface DirectRequest {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly isSingle: boolean;
}

/** Sends one direct read; repeats it when the answer is lost. Faults: `_UNAVAILABLE`, `_REFUSED`. */
export const directPage = (
  parts: DirectParts,
  family: FaultFamily,
  query: Readonly<Record<string, unknown>>,
): Promise<DirectPage> => {
  const subject = `$JS.API.DIRECT.GET.${parts.stream}`;
  return ask(parts, family, { subject, body: encoder.encode(JSON.stringify(query)), isSingle: false });
};

/** The last entry of a subject as the answering replica has it. The request names the subject, so a right for it can be given. */
export const directLast = async (parts: DirectParts, subject: string): Promise<StoredEntry | undefined> => {
  const { stream } = parts;
  const request = {
    subject: `$JS.API.DIRECT.GET.${stream}.${subject}`,
    body: encoder.encode(''),
    isSingle: true,
  };
  const page = await ask(parts, 'LOG', request);
  if (page.unserved)
    throw portFault('LOG', 'UNAVAILABLE', `read of stream ${stream}: nobody answers direct reads`);
  return page.entries[0];
};

const ask = async (
  parts: DirectParts,
  family: FaultFamily,
  { subject, body, isSingle }: DirectRequest,
): Promise<DirectPage> => {
  const { connection, stream, patience } = parts;
  const deadline = connection.clock.monotonicMs() + patience.withinMs;
  for (;;) {
    const leftMs = deadline - connection.clock.monotonicMs();
    if (leftMs <= 0 || !(await connection.whenConnected({ withinMs: leftMs })))
      throw portFault(family, 'UNAVAILABLE', `read of stream ${stream}: ${whyAway(connection)}`);
    try {
      return await new Promise((resolve, reject) => {
        const handler = new PageHandler(resolve, reject, { isSingle });
        const timeoutMs = Math.min(patience.attemptMs, leftMs);
        connection.inbox.send(subject, body, undefined, { timeoutMs, handler });
      });
    } catch (error) {
      const isLost =
        error instanceof LostReply && (error.reason === 'timeout' || error.reason === 'disconnected');
      if (!isLost) throw thrownFault(family, `read of stream ${stream}`, error);
    }
  }
};

const PAGE_ENTRIES = 512;
/** The entry that goes beyond it is still of the page. */
const PAGE_BYTES = 1024 * 1024;

async function* readOneByOne(parts: DirectParts, subject: string, from: number): AsyncGenerator<StoredEntry> {
  const { connection, stream, patience } = parts;
  for (let seq = from; ;) {
    const query = { next_by_subj: subject, seq };
    const entry = await readFromLeader(connection, { family: 'LOG', stream, patience, query });
    if (entry === undefined) return;
    yield entry;
    seq = entry.seq + 1;
  }
}

/** The entries of one subject from a sequence on, oldest first, as far as the answering replica has them. */
export async function* readDirect(
  parts: DirectParts,
  subject: string,
  from: number,
): AsyncGenerator<StoredEntry> {
  for (let seq = Math.max(1, from); ;) {
    const query = { seq, next_by_subj: subject, batch: PAGE_ENTRIES, max_bytes: PAGE_BYTES };
    const page = await directPage(parts, 'LOG', query);
    if (page.unserved) {
      yield* readOneByOne(parts, subject, seq);
      return;
    }
    yield* page.entries;
    const last = page.entries.at(-1);
    if (!page.more || last === undefined) return;
    seq = last.seq + 1;
  }
}

/**
 * The entries of one subject from a sequence on, complete up to what the leader had at the time of the call: what a
 * lagging replica lacks is read from the leader.
 */
export async function* readSubject(
  parts: DirectParts,
  subject: string,
  from: number,
): AsyncGenerator<StoredEntry> {
  const { connection, stream, patience } = parts;
  const query = { last_by_subj: subject };
  const last = await readFromLeader(connection, { family: 'LOG', stream, patience, query });
  if (last === undefined || last.seq < from) return;
  if (last.seq === from) {
    yield last;
    return;
  }
  let next = Math.max(1, from);
  for await (const entry of readDirect(parts, subject, next)) {
    if (entry.seq > last.seq) return;
    yield entry;
    next = entry.seq + 1;
  }
  if (next <= last.seq)
    for await (const entry of readOneByOne(parts, subject, next)) {
      if (entry.seq > last.seq) return;
      yield entry;
    }
}
