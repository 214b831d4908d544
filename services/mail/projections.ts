// The folds of the mail service as projections of MESSAGES: bucket `messages` by message, bucket `obligations` by recipient.
// What cannot be read is parked by the loop and skipped; what a newer version wrote is passed over.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { defineSummary } from '#libs/projections/summary.ts';
import { viewKey } from '#streams/buckets.ts';
import { foldedOf } from '#streams/entry.ts';
import { policyOfRecipient } from '#streams/mail.ts';
import { decodeMail } from '#streams/mail-codec.ts';
import { messageViewSchema, obligationsKey, obligationsSchema } from '#streams/mail-views.ts';
import { typedFilter } from '#streams/subjects.ts';
import { foldMessage, type MessageSummary, type PlacedMail } from './message.view.ts';
import { foldObligations, type Obligations } from './obligations.view.ts';

const decode = (entry: StoredEntry): PlacedMail | undefined => {
  const reading = foldedOf(decodeMail(entry));
  const { tenant, project } = reading.place;
  return { boundary: { tenant, project }, seq: entry.seq, event: reading };
};

const messageSummary = messageViewSchema.omit({ seq: true });

/** Bucket `messages`. */
export const messagesProjection = defineSummary<PlacedMail, MessageSummary>({
  name: 'messages',
  version: 2,
  stream: 'MESSAGES',
  subjects: [typedFilter('msg')],
  bucket: 'messages',
  // MESSAGES forgets by age and size; what it no longer holds is no longer summed up.
  history: 'what-is-left',
  decode,
  key: ({ boundary, event }) => viewKey(boundary, event.data.messageId),
  fold: foldMessage,
  parse: (value) => messageSummary.parse(value),
});

const obligationSummary = obligationsSchema.omit({ seq: true });

/** Bucket `obligations`. */
export const obligationsProjection = defineSummary<PlacedMail, Obligations>({
  name: 'obligations',
  version: 1,
  stream: 'MESSAGES',
  subjects: [typedFilter('msg')],
  bucket: 'obligations',
  history: 'what-is-left',
  decode,
  // Nobody owes what a policy was sent: its agent owes for the message that it gets.
  key: ({ boundary, event }) =>
    policyOfRecipient(event.data.to) === undefined ? obligationsKey(boundary, event.data.to) : undefined,
  fold: foldObligations,
  parse: (value) => obligationSummary.parse(value),
});
