// What a stream really holds, transport headers included: for the laws that the port hides from its readers.
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';

export interface StoredMessage {
  readonly seq: number;
  readonly subject: string;
  readonly id: string;
  /** The expectation that it was stored with, if any. */
  readonly expectedSeq: number | undefined;
  /** The atomic batch that it was stored with, if any. */
  readonly batchId: string | undefined;
}

interface RawMessage {
  readonly subject: string;
  readonly seq: number;
  readonly hdrs?: string;
}

const headerIn = (block: string, name: string): string | undefined =>
  new RegExp(`^${name}: (.*)\\r$`, 'm').exec(block)?.[1];

const readOne = async (
  connection: NatsConnectionHandle,
  stream: string,
  seq: number,
): Promise<StoredMessage | undefined> => {
  const answer = await connection.nc.request(`$JS.API.STREAM.MSG.GET.${stream}`, JSON.stringify({ seq }));
  const { message } = answer.json<{ message?: RawMessage }>();
  if (message === undefined) return undefined;
  const block = Buffer.from(message.hdrs ?? '', 'base64').toString();
  const expected = headerIn(block, 'Nats-Expected-Last-Subject-Sequence');
  return {
    seq: message.seq,
    subject: message.subject,
    id: headerIn(block, 'Nats-Msg-Id') ?? '',
    expectedSeq: expected === undefined ? undefined : Number(expected),
    batchId: headerIn(block, 'Nats-Batch-Id'),
  };
};

/** Every message of a stream, oldest first, read from the leader. */
export const storedMessages = async (
  connection: NatsConnectionHandle,
  stream: string,
  lastSeq: number,
): Promise<readonly StoredMessage[]> => {
  const messages: StoredMessage[] = [];
  const CHUNK = 100;
  for (let first = 1; first <= lastSeq; first += CHUNK) {
    const seqs = Array.from({ length: Math.min(CHUNK, lastSeq - first + 1) }, (_, n) => first + n);
    const found = await Promise.all(seqs.map((seq) => readOne(connection, stream, seq)));
    messages.push(...found.filter((message) => message !== undefined));
  }
  return messages;
};

/** The messages whose expectation is not the sequence of the one before them on their subject. Must be none. */
export const brokenChains = (messages: readonly StoredMessage[]): readonly StoredMessage[] => {
  const last = new Map<string, number>();
  return messages.filter(({ seq, subject, expectedSeq }) => {
    const before = last.get(subject) ?? 0;
    last.set(subject, seq);
    return expectedSeq !== undefined && expectedSeq !== before;
  });
};
