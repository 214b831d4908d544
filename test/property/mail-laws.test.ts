// Laws of the folds of mail: whatever the order and however often facts come after their message, one summary follows; an obligation is
// open exactly while its message is delivered and neither answered nor expired.
import {
  array,
  assert,
  boolean,
  constantFrom,
  integer,
  nat,
  property,
  record,
  uniqueArray,
} from 'fast-check';
import { expect, test } from 'vitest';
import { foldMessage, type MessageSummary, type PlacedMail } from '#services/mail/message.view.ts';
import { foldObligations, type Obligations } from '#services/mail/obligations.view.ts';
import { MAIL_EXAMPLES } from '#streams/generate-mail-examples.ts';
import type { MailEvent } from '#streams/mail-codec.ts';
import { LISTED_OBLIGATIONS, messageViewSchema, obligationsSchema } from '#streams/mail-views.ts';

const boundary = { tenant: 'acme', project: 'web' };
const idOf = (n: number): string => `msg_01KAJ5P2R0W1X2Y3Z4A5B6${String(n).padStart(4, '0')}`;
const { messageId: _id, threadId: _thread, ...sentData } = MAIL_EXAMPLES.sent;

const sent = (n: number, needsReply = true): MailEvent => ({
  name: 'sent',
  data: { ...sentData, messageId: idOf(n), threadId: idOf(n), needsReply },
});

const FACTS = ['delivered', 'injected', 'answered', 'expired'] as const;
type Fact = (typeof FACTS)[number];
const fact = (n: number, name: Fact, at: number): MailEvent => {
  const about = { messageId: idOf(n), to: sentData.to };
  if (name === 'delivered') return { name, data: { ...about, runnerId: 'r', deliveredAt: at } };
  if (name === 'answered') return { name, data: { ...about, replyId: idOf(900), answeredAt: at } };
  if (name === 'expired') return { name, data: { ...about, reason: 'late', expiredAt: at } };
  const { runId, sessionId, turnId } = MAIL_EXAMPLES.injected;
  return { name, data: { ...about, runId, sessionId, turnId, injectedAt: at } };
};

const placed = (events: readonly MailEvent[]): PlacedMail[] =>
  events.map((event, index) => ({ boundary, seq: index + 1, event }));
const summaryOf = (events: readonly MailEvent[]): MessageSummary | undefined => {
  let view: MessageSummary | undefined;
  for (const one of placed(events)) view = foldMessage(view, one);
  return view;
};
const owedOf = (events: readonly MailEvent[]): Obligations | undefined => {
  let view: Obligations | undefined;
  for (const one of placed(events)) view = foldObligations(view, one);
  return view;
};

const aFact = record({ n: integer({ min: 0, max: 4 }), name: constantFrom(...FACTS) });

test('the summary of a message does not depend on the order of what happened to it, nor on repeats', () => {
  assert(
    property(uniqueArray(constantFrom(...FACTS)), array(nat(3), { maxLength: 4 }), (names, again) => {
      const facts = names.map((name, index) => fact(0, name, 10 + index));
      const repeats = again.flatMap((at) => facts[at] ?? []);
      const one = summaryOf([sent(0), ...facts, ...repeats]);
      const other = summaryOf([sent(0), ...repeats.toReversed(), ...facts.toReversed(), sent(0)]);
      expect(other).toEqual(one);
      expect(messageViewSchema.parse({ seq: 1, ...one })).toBeDefined();
    }),
  );
});

test('WK-15 an obligation is open exactly while its message is delivered and neither answered nor expired', () => {
  assert(
    property(array(boolean(), { minLength: 5, maxLength: 5 }), array(aFact), (needs, facts) => {
      const messages = needs.map((needsReply, n) => sent(n, needsReply));
      const events = facts.map(({ n, name }, index) => fact(n, name, 100 + index));
      const view = owedOf([...messages, ...events]);
      const happened = (n: number, ...names: Fact[]) =>
        facts.some((one) => one.n === n && names.includes(one.name));
      const open = needs.flatMap((needsReply, n) =>
        needsReply && happened(n, 'delivered') && !happened(n, 'answered', 'expired') ? [idOf(n)] : [],
      );
      expect((view?.owed ?? []).map(({ messageId }) => messageId)).toEqual(open);
      const still = needs.flatMap((needsReply, n) =>
        needsReply && !happened(n, 'delivered', 'answered', 'expired') ? [idOf(n)] : [],
      );
      expect((view?.coming ?? []).map(({ messageId }) => messageId)).toEqual(still);
      if (view !== undefined) expect(obligationsSchema.parse({ seq: 1, ...view })).toBeDefined();
    }),
  );
});

test('WK-15 each obligation is closed by the reply to its own id, in whatever order replies come', () => {
  const open = [
    sent(1),
    sent(2),
    sent(3),
    fact(1, 'delivered', 1),
    fact(2, 'delivered', 2),
    fact(3, 'delivered', 3),
  ];
  const ids = (view: Obligations | undefined) => view?.owed.map(({ messageId }) => messageId);
  expect(ids(owedOf([...open, fact(1, 'answered', 9)]))).toEqual([idOf(2), idOf(3)]);
  expect(ids(owedOf([...open, fact(3, 'answered', 9)]))).toEqual([idOf(1), idOf(2)]);
});

test('the oldest stands first, whatever the order of delivery', () => {
  const view = owedOf([sent(1), sent(2), fact(2, 'delivered', 5), fact(1, 'delivered', 9)]);
  expect(view?.owed.map(({ messageId }) => messageId)).toEqual([idOf(1), idOf(2)]);
});

test('what was answered before its delivery was reported is never owed', () => {
  const view = owedOf([sent(1), fact(1, 'answered', 3), fact(1, 'delivered', 2)]);
  expect(view).toMatchObject({ owed: [], coming: [] });
});

test('what somebody says of the mail of another changes nothing', () => {
  const foreign: MailEvent = {
    name: 'answered',
    data: { messageId: idOf(1), to: 'builder-2', replyId: idOf(900), answeredAt: 1 },
  };
  expect(summaryOf([sent(1), foreign])).toEqual(summaryOf([sent(1)]));
  expect(owedOf([sent(1), foreign])).toEqual(owedOf([sent(1)]));
});

test('a list that is full counts what it does not list', () => {
  const many = Array.from({ length: LISTED_OBLIGATIONS + 3 }, (_, n) => sent(n));
  const view = owedOf(many);
  expect([view?.coming.length, view?.unlisted]).toEqual([LISTED_OBLIGATIONS, 3]);
  expect(JSON.stringify(view).length).toBeLessThan(200_000);
});
