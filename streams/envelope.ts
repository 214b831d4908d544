// The envelope of everything in a stream: CloudEvents 1.0 attributes as headers (binary mode) over a JSON body that a
// person can read with the broker's own tools. Builds headers and reads them back; does not look into bodies.
import { z } from 'zod';

/** Bodies over this many bytes go to the object store by digest; the entry then carries `ce-dataref` and an excerpt. */
export const INLINE_BODY_LIMIT_BYTES = 256 * 1024;

/** What the writer of an entry says about it. */
export interface Envelope {
  /** Fixed at the source; equals the `Nats-Msg-Id`, which is the idempotency key. */
  readonly id: string;
  /** `fleetlog.<noun>.<what>.v<n>`. */
  readonly type: string;
  /** The process that says so: `/runner/builder-1`, `/service/runs`. */
  readonly source: string;
  /** The thing it is about: an aggregate id or an agent name. */
  readonly subject: string;
  /** When it happened, epoch ms, fixed at the source. */
  readonly timeMs: number;
  /** On whose behalf: `user:anna`, `agent:builder-1`, `service:runs`. */
  readonly actor: string;
  /** Id of the entry or command that caused this one. */
  readonly causation?: string;
  /** Id that ties one piece of work together (the run's id). */
  readonly correlation?: string;
  /** The claim under which a runner reports. */
  readonly fence?: number;
  /** Gapless number of this source's entries, from 1. */
  readonly sourceSeq?: number;
  readonly traceparent?: string;
  /** `blob:sha256-<hex>`: the whole body is in the object store. */
  readonly dataref?: string;
}

const CONTENT_TYPE = 'application/json';

/** Headers of an entry, without `Nats-Msg-Id` (the log sets it from the entry's id). */
export const encodeEnvelope = (envelope: Envelope): Record<string, string> => {
  const headers: Record<string, string> = {
    'ce-specversion': '1.0',
    'ce-id': envelope.id,
    'ce-type': envelope.type,
    'ce-source': envelope.source,
    'ce-subject': envelope.subject,
    'ce-time': new Date(envelope.timeMs).toISOString(),
    'content-type': CONTENT_TYPE,
    'Fleet-Actor': envelope.actor,
  };
  if (envelope.causation !== undefined) headers['Fleet-Causation'] = envelope.causation;
  if (envelope.correlation !== undefined) headers['Fleet-Correlation'] = envelope.correlation;
  if (envelope.fence !== undefined) headers['Fleet-Fence'] = String(envelope.fence);
  if (envelope.sourceSeq !== undefined) headers['Fleet-Source-Seq'] = String(envelope.sourceSeq);
  if (envelope.traceparent !== undefined) headers['traceparent'] = envelope.traceparent;
  if (envelope.dataref !== undefined) headers['ce-dataref'] = envelope.dataref;
  return headers;
};

const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number);

const headersSchema = z.object({
  'ce-specversion': z.literal('1.0'),
  'ce-id': z.string().min(1).max(255),
  'ce-type': z.string().regex(/^fleetlog(\.[a-z][a-z0-9-]*){2,}\.v\d+$/),
  'ce-source': z.string().min(1),
  'ce-subject': z.string().min(1),
  'ce-time': z.iso.datetime().transform((text) => Date.parse(text)),
  'content-type': z.literal(CONTENT_TYPE),
  'Fleet-Actor': z.string().min(1),
  'Fleet-Causation': z.string().optional(),
  'Fleet-Correlation': z.string().optional(),
  'Fleet-Fence': wholeNumber.optional(),
  'Fleet-Source-Seq': wholeNumber.optional(),
  traceparent: z.string().optional(),
  'ce-dataref': z
    .string()
    .regex(/^blob:sha256-[0-9a-f]{64}$/)
    .optional(),
});

export type EnvelopeReading =
  | { readonly ok: true; readonly envelope: Envelope }
  /** One line that names every header at fault. */
  | { readonly ok: false; readonly problem: string };

/**
 * Reads an envelope back. Headers that are not ours are ignored. An entry that bears `Nats-Stream` or `Nats-Sequence` is
 * refused: it is a delivery of another stream that was aimed at this one (a reply-subject forgery), not something written here.
 */
export const decodeEnvelope = (headers: Readonly<Record<string, string>>): EnvelopeReading => {
  if ('Nats-Stream' in headers || 'Nats-Sequence' in headers)
    return { ok: false, problem: 'a forwarded delivery (Nats-Stream, Nats-Sequence), not an entry of ours' };
  const parsed = headersSchema.safeParse(headers);
  if (!parsed.success) {
    const problem = parsed.error.issues
      .map((issue) => `${issue.path.join('.')}: ${issue.message}`)
      .join('; ');
    return { ok: false, problem };
  }
  return { ok: true, envelope: toEnvelope(parsed.data) };
};

const toEnvelope = (data: z.infer<typeof headersSchema>): Envelope => ({
  id: data['ce-id'],
  type: data['ce-type'],
  source: data['ce-source'],
  subject: data['ce-subject'],
  timeMs: data['ce-time'],
  actor: data['Fleet-Actor'],
  ...(data['Fleet-Causation'] !== undefined && { causation: data['Fleet-Causation'] }),
  ...(data['Fleet-Correlation'] !== undefined && { correlation: data['Fleet-Correlation'] }),
  ...(data['Fleet-Fence'] !== undefined && { fence: data['Fleet-Fence'] }),
  ...(data['Fleet-Source-Seq'] !== undefined && { sourceSeq: data['Fleet-Source-Seq'] }),
  ...(data.traceparent !== undefined && { traceparent: data.traceparent }),
  ...(data['ce-dataref'] !== undefined && { dataref: data['ce-dataref'] }),
});
