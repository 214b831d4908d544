// The rules of mail, given a message, when somebody answers, then what is stored or refused; and what notices say.
import { describe, expect, test } from 'vitest';
import {
  decideReply,
  isSameMessage,
  messageOf,
  nudgeOf,
  refuseRecipient,
  type Original,
} from '#services/mail/message.policy.ts';
import { noticeOfRefusal, noticeOfRunEnd, runEndOf, type RunEnd } from '#services/mail/notice.policy.ts';
import { RUN_EXAMPLES } from '#streams/generate-examples.ts';
import { SYSTEM_SENDER } from '#streams/mail.ts';
import { answerTo, letter } from '#test/support/mail-asking.ts';

const NOW = 1_763_712_000_000;
const QUESTION = 'msg_01KAJ5P2R0W1X2Y3Z4A5B6C7D8';
const NOTICE = 'msg_01KAJ5QJT0E9F8G7H6J5K4M3N2';

const original = (over: Partial<Original> = {}): Original => ({
  messageId: QUESTION,
  threadId: QUESTION,
  from: 'user',
  to: 'builder-1',
  subject: 'Which cart?',
  replyId: null,
  ...over,
});
const asBuilder = { from: 'builder-1', now: NOW };

describe('IM-13 a reply', () => {
  test('goes to whoever wrote, in the same thread, and closes the message', () => {
    const request = answerTo(QUESTION);
    const { messageId, body } = request;
    expect(decideReply(request, original({ threadId: NOTICE }), asBuilder)).toEqual({
      kind: 'reply',
      sent: {
        messageId,
        threadId: NOTICE,
        from: 'builder-1',
        to: 'user',
        kind: 'mail',
        subject: 'Re: Which cart?',
        body,
        needsReply: false,
        replyTo: QUESTION,
        priority: 'normal',
        sessionId: null,
        runId: null,
        turnId: null,
        expiresAt: null,
        sentAt: NOW,
      },
      answered: { messageId: QUESTION, to: 'builder-1', replyId: messageId, answeredAt: NOW },
    });
  });

  test('is mail like any other once the message has been answered, and closes nothing twice', () => {
    const answered = original({ replyId: NOTICE });
    expect(decideReply(answerTo(QUESTION), answered, asBuilder)).toMatchObject({
      kind: 'reply',
      answered: null,
    });
  });

  test('that is repeated is decided as it was the first time', () => {
    const request = answerTo(QUESTION);
    const first = decideReply(request, original(), asBuilder);
    expect(decideReply(request, original({ replyId: request.messageId }), asBuilder)).toEqual(first);
  });

  test('by anybody but the recipient is refused', () => {
    for (const from of ['builder-2', 'user'])
      expect(decideReply(answerTo(QUESTION), original(), { from, now: NOW })).toMatchObject({
        kind: 'refused',
        rejection: { code: 'MESSAGE_FOREIGN' },
      });
  });

  test('to a notice of the system is refused: nobody would read it', () => {
    const notice = original({ from: SYSTEM_SENDER });
    expect(decideReply(answerTo(QUESTION), notice, asBuilder)).toMatchObject({
      kind: 'refused',
      rejection: { code: 'RECIPIENT_UNKNOWN' },
    });
  });

  test('keeps a subject of its own, and does not pile up "Re:"', () => {
    const subjectOf = (subject: string | null, own?: string) => {
      const request = answerTo(QUESTION, own === undefined ? {} : { subject: own });
      const decision = decideReply(request, original({ subject }), asBuilder);
      return decision.kind === 'reply' ? decision.sent.subject : decision;
    };
    expect(subjectOf('Which cart?', 'The new one')).toBe('The new one');
    expect(subjectOf('RE: Which cart?')).toBe('RE: Which cart?');
    expect(subjectOf(null)).toBeNull();
    expect(subjectOf('x'.repeat(200))).toHaveLength(200);
  });
});

describe('a recipient', () => {
  const known = { agents: ['builder-1'], people: ['anna'] };
  test('is an agent or a person that is known', () => {
    expect(refuseRecipient('builder-1', known, [])).toBeUndefined();
    expect(refuseRecipient('anna', known, [])).toBeUndefined();
  });
  test('that nobody is called is refused, naming who may have been meant', () => {
    expect(refuseRecipient('bilder-1', known, ['builder-1'])).toMatchObject({
      code: 'RECIPIENT_UNKNOWN',
      message: 'no agent or person is called bilder-1; did you mean builder-1?',
      detail: { near: ['builder-1'] },
    });
    expect(refuseRecipient('anna', { agents: ['builder-1'] }, [])?.message).toBe('no agent is called anna');
  });
});

describe('one message', () => {
  test('is the same when it was written again later, and another one when anything else differs', () => {
    const request = letter();
    const one = messageOf(request, { from: 'user', now: NOW });
    expect(isSameMessage(one, messageOf(request, { from: 'user', now: NOW + 1 }))).toBe(true);
    expect(isSameMessage(one, messageOf(request, { from: 'anna', now: NOW }))).toBe(false);
    expect(isSameMessage(one, messageOf({ ...request, body: 'no' }, { from: 'user', now: NOW }))).toBe(false);
  });

  test('IM-06 that is a nudge asks for no reply and has no subject', () => {
    const { messageId, body } = letter();
    expect(nudgeOf({ messageId, to: 'builder-1', body }, { from: 'user', now: NOW })).toMatchObject({
      kind: 'nudge',
      needsReply: false,
      subject: null,
      threadId: messageId,
    });
  });
});

const created = { ...RUN_EXAMPLES['fleetlog.run.created.v1'], parent: 'lead-1' };
const textOf = (end: RunEnd): string => {
  const notice = noticeOfRunEnd(NOTICE, created, end);
  return `${notice?.priority} | ${notice?.subject} | ${notice?.body}`;
};
const completed = RUN_EXAMPLES['fleetlog.run.completed.v1'];

describe('TR-33 TR-34 WK-19 WK-20 the notice to a parent', () => {
  test('exists for every end of a run, and for nothing else', () => {
    const ends = Object.values(RUN_EXAMPLES).filter((event) => runEndOf(event) !== undefined);
    expect(ends.map(({ type }) => type)).toEqual([
      'fleetlog.run.completed.v1',
      'fleetlog.run.blocked.v1',
      'fleetlog.run.failed.v1',
      'fleetlog.run.cancelled.v1',
    ]);
    const lost = RUN_EXAMPLES['fleetlog.run.lease-expired.v1'];
    expect(runEndOf(lost)).toBeUndefined();
    for (const next of ['failed', 'cancelled'] as const)
      expect(runEndOf({ ...lost, next, commandId: null })).toBeDefined();
  });

  test('comes from the agent, is about its run and turn, and asks for no reply', () => {
    expect(noticeOfRunEnd(NOTICE, created, completed)).toMatchObject({
      messageId: NOTICE,
      from: 'builder-1',
      to: 'lead-1',
      kind: 'notice',
      needsReply: false,
      runId: created.runId,
      turnId: completed.turnId,
      sentAt: completed.endedAt,
    });
  });

  test('is not written for a run that has no parent', () => {
    const { parent: _parent, ...orphan } = created;
    expect(noticeOfRunEnd(NOTICE, orphan, completed)).toBeUndefined();
  });

  test('WK-22 tells done, paused and blocked apart', () => {
    const of = (outcome: 'done' | 'yielded' | 'blocked') =>
      textOf({ ...completed, result: { ...completed.result, outcome } });
    expect(of('done')).toMatch(/^normal \| Run completed: Cart rounding/);
    expect(of('yielded')).toMatch(/^normal \| Run paused: .*The work is not done/s);
    expect(of('blocked')).toMatch(/^high \| Run is blocked: .*cannot go on/s);
    expect(textOf(RUN_EXAMPLES['fleetlog.run.blocked.v1'])).toMatch(
      /^high \| Run is blocked: .*The registry refuses the token.*cannot go on/s,
    );
  });

  test('says why it failed and what to do, with priority', () => {
    expect(textOf(RUN_EXAMPLES['fleetlog.run.failed.v1'])).toMatch(
      /^high \| Run failed: .*provider-failed: the program ended with exit code 2.*Start it again/s,
    );
    const lost = { ...RUN_EXAMPLES['fleetlog.run.lease-expired.v1'], commandId: null };
    expect(textOf({ ...lost, next: 'failed' })).toMatch(/^high \| Run failed: .*was not heard of any more/s);
    expect(textOf({ ...lost, next: 'cancelled' })).toMatch(/^normal \| Run was cancelled/);
    expect(textOf(RUN_EXAMPLES['fleetlog.run.cancelled.v1'])).toMatch(/Run was cancelled: .*wrong branch/s);
  });
});

test('whoever posted a message that is refused afterwards is told which one and why', () => {
  const posted = { messageId: QUESTION, from: 'builder-1', postedAt: NOW };
  const notice = noticeOfRefusal(NOTICE, posted, {
    code: 'RECIPIENT_UNKNOWN',
    message: 'no agent is called x',
  });
  expect(notice).toMatchObject({ from: SYSTEM_SENDER, to: 'builder-1', replyTo: QUESTION, kind: 'notice' });
  expect(notice.body).toMatch(/RECIPIENT_UNKNOWN\): no agent is called x/);
});
