// A dead letter as its headers tell, whatever its envelope: what the tests of the loops look at.
import type { Headers, StoredEntry } from '#libs/ports/event-log.ts';

export interface DeadLetter {
  readonly reason: string;
  readonly code: string;
  readonly message: string;
  readonly service: string;
  readonly consumer: string;
  readonly attempts: number;
  readonly stream: string;
  readonly seq: number;
  /** Subject, headers (with `Nats-Msg-Id`) and body as they were. */
  readonly origin: { readonly subject: string; readonly headers: Headers; readonly body: Uint8Array };
  /** True when the body was too large for a letter: read it from the origin stream. */
  readonly bodyOmitted: boolean;
}

/** Reads a letter back, or undefined when the entry is not one. */
export const readDeadLetter = (entry: StoredEntry): DeadLetter | undefined => {
  const fact = (name: string): string => entry.headers[`Dead-${name}`] ?? '';
  const seq = Number(fact('Seq'));
  if (fact('Reason') === '' || fact('Stream') === '' || !Number.isSafeInteger(seq) || seq < 1)
    return undefined;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(entry.headers))
    if (name.startsWith('Dead-Origin-')) headers[name.slice('Dead-Origin-'.length)] = value;
  return {
    reason: fact('Reason'),
    code: fact('Code'),
    message: fact('Message'),
    service: fact('Service'),
    consumer: fact('Consumer'),
    attempts: Number(fact('Attempts')),
    stream: fact('Stream'),
    seq,
    origin: { subject: fact('Subject'), headers, body: entry.body },
    bodyOmitted: entry.headers['Dead-Body-Omitted'] !== undefined,
  };
};
