// The folds of the mail service as projections of MESSAGES: bucket `messages` by message, bucket `obligations` by recipient.
// What cannot be read is parked by the loop and skipped; what a newer version wrote is passed over.
import { Fault } from '#libs/kernel/fault.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { defineProjection } from '#libs/projections/projection.ts';
import { viewKey } from '#streams/buckets.ts';
import { decodeMail } from '#streams/mail-codec.ts';
import { messageViewSchema, obligationsKey, obligationsSchema } from '#streams/mail-views.ts';
import { typedFilter } from '#streams/subjects.ts';
import { foldMessage, type MessageSummary, type PlacedMail } from './message.view.ts';
import { foldObligations, type Obligations } from './obligations.view.ts';

/** The state of a key before its first event. */
type Nothing = Record<string, never>;
const nothing: Nothing = {};
const isMessage = (state: MessageSummary | Nothing): state is MessageSummary => 'messageId' in state;
const isOwing = (state: Obligations | Nothing): state is Obligations => 'agent' in state;

const decode = (entry: StoredEntry): PlacedMail | undefined => {
  const reading = decodeMail(entry);
  if (reading.kind === 'problem')
    throw new Fault({ code: 'ENTRY_UNREADABLE', retry: 'never', message: reading.problem });
  if (reading.kind === 'unknown') return undefined;
  const { tenant, project } = reading.place;
  return { boundary: { tenant, project }, seq: entry.seq, event: reading };
};

const messageSummary = messageViewSchema.omit({ seq: true });

/** Bucket `messages`. */
export const messagesProjection = defineProjection<PlacedMail, MessageSummary | Nothing>({
  name: 'messages',
  version: 1,
  stream: 'MESSAGES',
  subjects: [typedFilter('msg')],
  bucket: 'messages',
  // MESSAGES forgets by age and size; what it no longer holds is no longer summed up.
  history: 'what-is-left',
  decode,
  key: ({ boundary, event }) => viewKey(boundary, event.data.messageId),
  initial: nothing,
  evolve: (state, placed) => foldMessage(isMessage(state) ? state : undefined, placed) ?? state,
  parse: (value) => messageSummary.parse(value),
});

const obligationSummary = obligationsSchema.omit({ seq: true });

/** Bucket `obligations`. */
export const obligationsProjection = defineProjection<PlacedMail, Obligations | Nothing>({
  name: 'obligations',
  version: 1,
  stream: 'MESSAGES',
  subjects: [typedFilter('msg')],
  bucket: 'obligations',
  history: 'what-is-left',
  decode,
  key: ({ boundary, event }) => obligationsKey(boundary, event.data.to),
  initial: nothing,
  evolve: (state, placed) => foldObligations(isOwing(state) ? state : undefined, placed) ?? state,
  parse: (value) => obligationSummary.parse(value),
});
