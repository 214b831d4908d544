// The summary of a message as a fold of what happened to it (bucket `messages`). Pure and total over every released event.
// What comes after `sent` may come in any order and more than once, and gives the same summary. Nothing is decided from it alone.
import type { MailEvent } from '#streams/mail-codec.ts';
import type { MailData } from '#streams/mail.ts';
import type { MessageView } from '#streams/mail-views.ts';
import type { Boundary } from '#streams/subjects.ts';

/** The value of the bucket without its stamp. */
export type MessageSummary = Omit<MessageView, 'seq'>;

/** An event of mail and where it stands. */
export interface PlacedMail {
  readonly boundary: Boundary;
  readonly seq: number;
  readonly event: MailEvent;
}

const GIST_CHARACTERS = 200;

/** The beginning of a body in one line. */
const gistOf = (body: string): string =>
  body.slice(0, 2000).replaceAll(/\s+/g, ' ').trim().slice(0, GIST_CHARACTERS);

const opened = ({ boundary, seq }: PlacedMail, { body, ...sent }: MailData<'sent'>): MessageSummary => ({
  tenant: boundary.tenant,
  project: boundary.project,
  ...sent,
  gist: gistOf(body),
  sentSeq: seq,
  state: 'stored',
  deliveredAt: null,
  injectedAt: null,
  injectedRunId: null,
  injectedTurnId: null,
  answeredAt: null,
  replyId: null,
  expiredAt: null,
  expiredReason: null,
  forwardedAs: null,
});

/** An answer stands above all: somebody has read the message, whatever else was thought of it. */
const stateOf = (view: MessageSummary): MessageSummary['state'] => {
  if (view.answeredAt !== null) return 'answered';
  if (view.expiredAt !== null) return 'expired';
  if (view.injectedAt !== null) return 'injected';
  if (view.deliveredAt !== null) return 'delivered';
  return view.forwardedAs === null ? 'stored' : 'forwarded';
};

/** The earlier of two facts of one kind stands, so that their order does not matter. */
const isFirst = (known: number | null, at: number): boolean => known === null || at < known;

type FactName = Exclude<MailEvent['name'], 'sent'>;
type Change<Name extends FactName> = (view: MessageSummary, data: MailData<Name>) => MessageSummary;

/** What a fact changes; `view` itself when it is no news. */
const CHANGE: { readonly [Name in FactName]: Change<Name> } = {
  delivered: (view, { deliveredAt }) =>
    isFirst(view.deliveredAt, deliveredAt) ? { ...view, deliveredAt } : view,
  injected: (view, { injectedAt, runId, turnId }) =>
    isFirst(view.injectedAt, injectedAt)
      ? { ...view, injectedAt, injectedRunId: runId, injectedTurnId: turnId }
      : view,
  answered: (view, { answeredAt, replyId }) =>
    isFirst(view.answeredAt, answeredAt) ? { ...view, answeredAt, replyId } : view,
  forwarded: (view, { agent, copyId, spawnId, forwardedAt: at }) =>
    view.forwardedAs === null || at >= view.forwardedAs.at
      ? { ...view, forwardedAs: { copyId, agent, spawnId, at } }
      : view,
  expired: (view, { expiredAt, reason }) =>
    isFirst(view.expiredAt, expiredAt) ? { ...view, expiredAt, expiredReason: reason } : view,
};

/**
 * The summary after one more event; undefined while the message is not known. What is said of the mail of somebody else does not
 * count. Gives `view` itself when nothing changed.
 */
export const foldMessage = (
  view: MessageSummary | undefined,
  placed: PlacedMail,
): MessageSummary | undefined => {
  const { event } = placed;
  if (event.name === 'sent') return view ?? opened(placed, event.data);
  if (view === undefined || view.to !== event.data.to) return view;
  // The table has the change of each name; the compiler cannot follow the pairing through a union.
  const next = (CHANGE[event.name] as Change<FactName>)(view, event.data);
  return next === view ? view : { ...next, state: stateOf(next) };
};
