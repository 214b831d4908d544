// Dead letters (stream DEADLETTERS): an entry that could not be processed, under fleet.<t>.<p>.dead.<p>.<service>.<reason>.
// Its body is the origin's body byte for byte; why and where from stand in `Dead-…` headers, the origin's headers in `Dead-Origin-…`.
// The consumer loop writes those headers (libs/consumers/dead-letters.ts); here are the subject, the envelope and the reading.
import { z } from 'zod';
import { decodeEnvelope, encodeEnvelope } from './envelope.ts';
import {
  decodeWith,
  parseJson,
  problem,
  readValue,
  type EntryLike,
  type OpenEntry,
  type Reading,
} from './entry.ts';
import { parseSubject, typedSubject, type Boundary } from './subjects.ts';

export const DEAD_LETTER_TYPE = 'fleetlog.dead-letter.v1';

/** Subject tokens for what comes from a subject that is not ours. */
const NOWHERE: Boundary = { tenant: 'unknown', project: 'unknown' };

/** A dead letter as a person or tool reads it. */
export const deadLetterSchema = z.object({
  /** `undecodable`, `refused-for-good`, `attempts-used-up`, `invariant-broken`. */
  reason: z.string().min(1),
  /** Code of the fault; `UNEXPECTED_ERROR` for a defect. */
  code: z.string(),
  message: z.string(),
  /** Whose consumer gave up. */
  service: z.string(),
  consumer: z.string(),
  attempts: z.int().nonnegative(),
  /** Where the entry came from and still is, unless it has aged out. */
  stream: z.string().min(1),
  seq: z.int().positive(),
  subject: z.string().min(1),
  /** When the origin was stored, epoch ms. */
  storedAt: z.int().nonnegative(),
  headers: z.record(z.string(), z.string()),
  /** The body was too large for a letter: read it at the origin. */
  bodyOmitted: z.boolean(),
  body: z.union([z.object({ json: z.unknown() }), z.object({ base64: z.string() })]),
});
export type DeadLetterData = z.infer<typeof deadLetterSchema>;

/** What the builder looks at; `Parked` of libs/consumers is one. */
export interface ParkedLike {
  readonly reason: string;
  readonly service: string;
  /** Epoch ms. */
  readonly parkedAt: number;
  readonly entry: EntryLike;
}

/** Subject and envelope of a dead letter with this id, in the shape that `createDeadLetters` of libs/consumers takes as `build`. Never throws for an origin that breaks the contract. */
export const buildDeadLetter = (
  parked: ParkedLike,
  id: string,
): { readonly subject: string; readonly headers: Record<string, string> } => {
  const { entry, service, reason } = parked;
  const place = parseSubject(entry.subject);
  const boundary = place === undefined ? NOWHERE : { tenant: place.tenant, project: place.project };
  const origin = decodeEnvelope(entry.headers);
  return {
    subject: typedSubject(boundary, 'dead', service, reason),
    headers: encodeEnvelope({
      id,
      type: DEAD_LETTER_TYPE,
      source: `/service/${service}`,
      subject: service,
      timeMs: parked.parkedAt,
      actor: `service:${service}`,
      ...(origin.ok && { causation: origin.envelope.id }),
      ...(origin.ok &&
        origin.envelope.correlation !== undefined && { correlation: origin.envelope.correlation }),
      ...(parseJson(entry.body) === undefined && { contentType: 'application/octet-stream' as const }),
    }),
  };
};

const ORIGIN = 'Dead-Origin-';

const base64 = (bytes: Uint8Array): string => {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
};

const originHeaders = (headers: Readonly<Record<string, string>>): Record<string, string> => {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (name.startsWith(ORIGIN)) found[name.slice(ORIGIN.length)] = value;
  return found;
};

/** As {@link decodeDeadLetter}, for an entry that has been opened. */
export const readLetter = (
  { envelope, place }: OpenEntry,
  entry: EntryLike,
): Reading<{ readonly letter: DeadLetterData }> => {
  if (place.kind !== 'typed' || place.family !== 'dead')
    return problem(`${envelope.type} on ${entry.subject}: not the subject of a dead letter`);
  if (envelope.type !== DEAD_LETTER_TYPE) return { kind: 'unknown', type: envelope.type, envelope, place };
  const fact = (name: string): string | undefined => entry.headers[`Dead-${name}`];
  const json = parseJson(entry.body);
  const read = readValue(
    {
      reason: fact('Reason'),
      code: fact('Code'),
      message: fact('Message'),
      service: fact('Service'),
      consumer: fact('Consumer'),
      attempts: Number(fact('Attempts')),
      stream: fact('Stream'),
      seq: Number(fact('Seq')),
      subject: fact('Subject'),
      storedAt: Number(fact('Stored-At')),
      headers: originHeaders(entry.headers),
      bodyOmitted: fact('Body-Omitted') !== undefined,
      body: json === undefined ? { base64: base64(entry.body) } : { json },
    },
    deadLetterSchema,
  );
  if (read.kind === 'problem') return read;
  return { kind: 'known', letter: read.data, envelope, place };
};

/** Reads a letter. The origin's own soundness is not judged: it is in a letter because something was wrong. */
export const decodeDeadLetter = (entry: EntryLike): Reading<{ readonly letter: DeadLetterData }> =>
  decodeWith(entry, readLetter);
