// Entries as the product writes them: reports with the whole envelope, 390 bytes of headers and 330 of body.
// Made ahead of the measurement; both sides send the same ones.
import type { NewEntry } from '#libs/ports/event-log.ts';
import { systemIds } from '#libs/system/ids.ts';
import { makeId } from '#streams/ids.ts';
import { encodeReport } from '#streams/report-codec.ts';

export const BOUNDARY = { tenant: 'acme', project: 'web' };

const TEXT =
  'The heron stands in the reeds and waits; the water is still, and nothing moves but the light. '.repeat(2);

const runId = makeId('run', systemIds.ulid());
const turnId = makeId('turn', systemIds.ulid());

/** An id that no other entry has. */
const freshId = (): string => makeId('event', systemIds.ulid());

export interface ReportOptions {
  readonly agent?: string;
  readonly sessionId?: string;
  readonly sourceSeq: number;
}

const commonSession = makeId('session', systemIds.ulid());

/** One report of an agent. */
export const sampleReport = (options: ReportOptions): NewEntry => {
  const { agent = 'builder-1', sessionId = commonSession, sourceSeq } = options;
  const id = freshId();
  return encodeReport(
    'text',
    { runId, sessionId, turnId, text: `${sourceSeq}: ${TEXT}` },
    {
      agent,
      boundary: BOUNDARY,
      id,
      source: `/runner/${agent}`,
      timeMs: 1_763_712_000_000 + sourceSeq,
      actor: `agent:${agent}`,
      correlation: runId,
      fence: 1,
      sourceSeq,
    },
  );
};

/** `count` reports of one agent, numbered. */
export const sampleReports = (count: number): readonly NewEntry[] =>
  Array.from({ length: count }, (_, at) => sampleReport({ sourceSeq: at + 1 }));

/** The same report on another subject under a new id, as an append to an aggregate would be. */
export const sampleTransition = (subject: string, like: NewEntry): NewEntry => {
  const id = freshId();
  return { subject, id, headers: { ...like.headers, 'ce-id': id }, body: like.body };
};
