// The replies that an agent or a person owes, as a fold of its mail (bucket `obligations`). Pure and total over every released event.
// Opened by a message that needs a reply once it is delivered, closed by the first reply or by expiry, in whatever order those are
// stored. Both lists are bounded; what finds them full is counted and not listed.
import type { MailEvent } from '#streams/mail-codec.ts';
import type { ObligationsView } from '#streams/mail-views.ts';
import { LISTED_OBLIGATIONS } from '#streams/mail-views.ts';
import type { PlacedMail } from './message.view.ts';

/** The value of the bucket without its stamp. */
export type Obligations = Omit<ObligationsView, 'seq'>;
type Owed = Obligations['owed'][number];
type Coming = Obligations['coming'][number];

const nothingOwed = ({ boundary, event }: PlacedMail): Obligations => ({
  tenant: boundary.tenant,
  project: boundary.project,
  agent: event.data.to,
  owed: [],
  coming: [],
  unlisted: 0,
});

type DataOf<Name extends MailEvent['name']> = Extract<MailEvent, { readonly name: Name }>['data'];

const sent = (view: Obligations, data: DataOf<'sent'>, sentSeq: number): Obligations => {
  const { messageId, from, subject, priority, sentAt } = data;
  const isListed = [...view.owed, ...view.coming].some((one) => one.messageId === messageId);
  if (!data.needsReply || isListed) return view;
  if (view.coming.length + view.owed.length >= LISTED_OBLIGATIONS)
    return { ...view, unlisted: view.unlisted + 1 };
  const next: Coming = { messageId, from, subject, priority, sentAt, sentSeq, injectedAt: null };
  return { ...view, coming: [...view.coming, next] };
};

const delivered = (view: Obligations, { messageId, deliveredAt }: DataOf<'delivered'>): Obligations => {
  const message = view.coming.find((one) => one.messageId === messageId);
  if (message === undefined) return view;
  const owed: Owed[] = [...view.owed, { ...message, deliveredAt }];
  return {
    ...view,
    coming: view.coming.filter((one) => one !== message),
    owed: owed.toSorted((a, b) => a.sentSeq - b.sentSeq),
  };
};

/** The first time that it was in a prompt stands. */
const injected = (view: Obligations, { messageId, injectedAt }: DataOf<'injected'>): Obligations => {
  const mark = <One extends Coming>(one: One): One =>
    one.messageId === messageId && (one.injectedAt === null || injectedAt < one.injectedAt)
      ? { ...one, injectedAt }
      : one;
  const owed = view.owed.map(mark);
  const coming = view.coming.map(mark);
  const isSame = [...owed, ...coming].every((one, at) => one === [...view.owed, ...view.coming][at]);
  return isSame ? view : { ...view, owed, coming };
};

const closed = (view: Obligations, { messageId }: { readonly messageId: string }): Obligations => {
  const isOther = (one: Coming): boolean => one.messageId !== messageId;
  const owed = view.owed.filter(isOther);
  const coming = view.coming.filter(isOther);
  if (owed.length === view.owed.length && coming.length === view.coming.length) return view;
  return { ...view, owed, coming };
};

/** What is owed after one more event; `view` undefined: nothing was ever owed. Gives `view` itself when nothing changed. */
export const foldObligations = (
  view: Obligations | undefined,
  placed: PlacedMail,
): Obligations | undefined => {
  const { event, seq } = placed;
  if (view === undefined) {
    // An agent that was never asked for a reply has no entry.
    if (event.name !== 'sent' || !event.data.needsReply) return undefined;
    return sent(nothingOwed(placed), event.data, seq);
  }
  if (view.agent !== event.data.to) return view;
  if (event.name === 'sent') return sent(view, event.data, seq);
  if (event.name === 'delivered') return delivered(view, event.data);
  return event.name === 'injected' ? injected(view, event.data) : closed(view, event.data);
};
