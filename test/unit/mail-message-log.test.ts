// One id is one message for ever: also when the broker has forgotten the id, when the summary lags, and when the stream has forgotten
// the message. On a broker in memory, whose duplicate window can be ended by hand.
import { describe, expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { encodePosition } from '#libs/projections/position.ts';
import { foldMessage, type MessageSummary } from '#services/mail/message.view.ts';
import { messageOf, type MessageSent } from '#services/mail/message.policy.ts';
import { createMessageLookup } from '#services/mail/message-lookup.ts';
import { createMessageLog } from '#services/mail/message-log.ts';
import { decodeRunEnd, handleRunEnd } from '#services/mail/notices.ts';
import { RUN_EXAMPLES } from '#streams/generate-examples.ts';
import { encodeRunEvent } from '#streams/run-codec.ts';
import { Fault, toFault } from '#libs/kernel/fault.ts';
import { createPostOffice } from '#services/mail/post-office.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';
import { viewKey } from '#streams/buckets.ts';
import { jsonBytes } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { decodeMail } from '#streams/mail-codec.ts';
import { answerTo, letter } from '#test/support/mail-asking.ts';

const boundary = { tenant: 'local', project: 'main' };
const cause = { boundary, actor: 'user:test' };
const HOUR_MS = 3_600_000;

const setup = () => {
  const clock = createManualClock(1_763_712_000_000);
  const ids = createSeededIds(1, clock);
  const broker = createMemoryBroker({
    clock,
    ids,
    topology: {
      streams: [
        { name: 'MESSAGES', subjects: ['fleet.*.*.msg.>'], duplicateWindowMs: 2 * HOUR_MS },
        { name: 'TRANSITIONS', subjects: ['fleet.*.*.run.>'] },
      ],
      buckets: [{ name: 'messages' }],
    },
  });
  const log = broker.eventLog('MESSAGES');
  const messages = broker.keyValue('messages');
  const lookup = createMessageLookup({ log, messages });
  const messageLog = createMessageLog({ log, lookup, clock });
  const postOffice = createPostOffice({
    messageLog,
    lookup,
    redactor: createRedactor(),
    clock,
    namesOf: () => ({ agents: ['builder-1', 'builder-2'], people: ['user'] }),
    hasPolicy: () => Promise.resolve(false),
    nudgeMs: 5000,
  });
  /** Folds the log into the bucket, as the projection does. */
  const project = async (): Promise<void> => {
    const views = new Map<string, MessageSummary>();
    let last = 0;
    for await (const entry of log.replay()) {
      const event = decodeMail(entry);
      if (event.kind !== 'known') continue;
      last = entry.seq;
      const key = viewKey(boundary, event.data.messageId);
      const view = foldMessage(views.get(key), { boundary, seq: entry.seq, event });
      if (view !== undefined) views.set(key, view);
    }
    for (const [key, view] of views) await messages.put(key, jsonBytes({ seq: last, ...view }));
    await messages.put(
      '_position',
      encodePosition({ seq: last, projection: 'messages', version: 1, owner: '' }),
    );
  };
  const stored = async (): Promise<string[]> => {
    const found: string[] = [];
    for await (const entry of log.replay()) found.push(entry.headers['Nats-Msg-Id'] ?? '');
    return found;
  };
  const message = (over: Partial<MessageSent> = {}): MessageSent => ({
    ...messageOf(letter({ messageId: makeId('message', ids.ulid()) }), { from: 'user', now: clock.now() }),
    ...over,
  });
  return { clock, ids, broker, log, messageLog, postOffice, project, stored, message };
};

describe('a message that is sent again', () => {
  test('is the first one while the broker remembers its id', async () => {
    const { messageLog, message, stored } = setup();
    const sent = message();
    expect(await messageLog.send(sent, cause)).toEqual({ kind: 'stored', seq: 1, repeated: false });
    const again = { ...sent, sentAt: sent.sentAt + 5 };
    expect(await messageLog.send(again, cause)).toEqual({ kind: 'stored', seq: 1, repeated: true });
    expect(await stored()).toHaveLength(1);
  });

  test('is the first one when a week has gone by, whether or not the summary shows it', async () => {
    for (const isShown of [true, false]) {
      const { clock, broker, messageLog, message, stored, project } = setup();
      const sent = message();
      await messageLog.send(sent, cause);
      if (isShown) await project();
      await clock.advance(7 * 24 * HOUR_MS);
      broker.forgetIds('MESSAGES');
      expect(await messageLog.send(sent, cause)).toEqual({ kind: 'stored', seq: 1, repeated: true });
      expect(await stored()).toHaveLength(1);
    }
  });

  test('is found behind what the summary has seen so far', async () => {
    const { clock, broker, messageLog, message, stored, project } = setup();
    await messageLog.send(message(), cause);
    await project();
    const late = message();
    await messageLog.send(late, cause);
    await clock.advance(24 * HOUR_MS);
    broker.forgetIds('MESSAGES');
    expect(await messageLog.send(late, cause)).toMatchObject({ seq: 2, repeated: true });
    expect(await stored()).toHaveLength(2);
  });

  test('with other words, or to somebody else, is refused, sooner or later', async () => {
    for (const isLater of [false, true]) {
      const { clock, broker, messageLog, message, project } = setup();
      const sent = message();
      await messageLog.send(sent, cause);
      await project();
      if (isLater) {
        await clock.advance(24 * HOUR_MS);
        broker.forgetIds('MESSAGES');
      }
      for (const over of [{ body: 'other' }, { to: 'builder-2' }, { from: 'builder-2' }])
        expect(await messageLog.send({ ...sent, ...over }, cause)).toMatchObject({ kind: 'conflict' });
    }
  });
});

describe('a reply that is sent again', () => {
  test('a week later closes nothing twice and is the first one', async () => {
    const { clock, ids, broker, postOffice, stored, project, messageLog, message } = setup();
    const asked = message();
    await messageLog.send(asked, cause);
    const reply = answerTo(asked.messageId, { messageId: makeId('message', ids.ulid()) });
    const sender = { boundary, from: 'builder-1', actor: 'agent:builder-1' };
    const first = await postOffice.reply(sender, reply);
    expect(first).toMatchObject({ kind: 'ok', result: { to: 'user', closed: true, repeated: false } });
    await project();
    await clock.advance(7 * 24 * HOUR_MS);
    broker.forgetIds('MESSAGES');
    expect(await postOffice.reply(sender, reply)).toMatchObject({
      kind: 'ok',
      result: { to: 'user', closed: true, repeated: true },
    });
    expect(await stored()).toEqual([
      asked.messageId,
      reply.messageId,
      `${asked.messageId}.answered.${reply.messageId}`,
    ]);
  });

  test('the same reply asked for twice at once is one', async () => {
    const { ids, postOffice, messageLog, message, stored } = setup();
    const asked = message();
    await messageLog.send(asked, cause);
    const sender = { boundary, from: 'builder-1', actor: 'agent:builder-1' };
    const reply = answerTo(asked.messageId, { messageId: makeId('message', ids.ulid()) });
    const answers = await Promise.all([1, 2, 3].map(() => postOffice.reply(sender, reply)));
    for (const answer of answers) expect(answer).toMatchObject({ kind: 'ok', result: { closed: true } });
    expect(await stored()).toHaveLength(3);
  });

  test('while answers to other messages of the same agent are being stored, closes its own', async () => {
    const { ids, postOffice, messageLog, message, stored } = setup();
    const asked = [message(), message(), message()];
    for (const one of asked) await messageLog.send(one, cause);
    const sender = { boundary, from: 'builder-1', actor: 'agent:builder-1' };
    const answers = await Promise.all(
      asked.map(({ messageId }) =>
        postOffice.reply(sender, answerTo(messageId, { messageId: makeId('message', ids.ulid()) })),
      ),
    );
    for (const answer of answers) expect(answer).toMatchObject({ kind: 'ok', result: { closed: true } });
    const closings = (await stored()).flatMap((id) => (id.includes('.answered.') ? id.split('.')[0] : []));
    expect(new Set(closings)).toEqual(new Set(asked.map(({ messageId }) => messageId)));
    expect(closings).toHaveLength(3);
  });

  test('two answers at once to one message: both are mail, one closes it', async () => {
    const { ids, postOffice, messageLog, message, stored } = setup();
    const asked = message();
    await messageLog.send(asked, cause);
    const sender = { boundary, from: 'builder-1', actor: 'agent:builder-1' };
    const answers = await Promise.all(
      [1, 2].map(() =>
        postOffice.reply(sender, answerTo(asked.messageId, { messageId: makeId('message', ids.ulid()) })),
      ),
    );
    const closed = answers.map((answer) => answer.kind === 'ok' && answer.result.closed);
    expect(new Set(closed)).toEqual(new Set([false, true]));
    expect((await stored()).filter((id) => id.includes('.answered.'))).toHaveLength(1);
    expect(await stored()).toHaveLength(4);
  });
});

describe('TR-35 TR-36 WK-25 the notice of a run that has ended', () => {
  test('is one, whatever acknowledgements get lost and however late the transition comes again', async () => {
    const { clock, broker, messageLog, project, log } = setup();
    const transitions = broker.eventLog('TRANSITIONS');
    const created = { ...RUN_EXAMPLES['fleetlog.run.created.v1'], parent: 'user' };
    const failed = RUN_EXAMPLES['fleetlog.run.failed.v1'];
    for (const [index, event] of [created, failed].entries()) {
      const meta = { boundary, id: `t${index}`, source: '/service/runs', actor: 'user:test', timeMs: 1 };
      await transitions.append(encodeRunEvent(event, meta));
    }
    const handle = handleRunEnd({ messageLog, transitions, redactor: createRedactor() });
    const deliver = async (): Promise<boolean> => {
      for await (const entry of transitions.replay()) {
        const end = decodeRunEnd(entry);
        if (end === undefined) continue;
        const handled = await handle(end).catch((error: unknown) => toFault(error));
        if (handled instanceof Fault) {
          expect(handled).toMatchObject({ code: 'LOG_UNAVAILABLE', retry: 'later' });
          return false;
        }
      }
      return true;
    };
    broker.faults.plan({ loseAppendAck: () => true });
    expect(await deliver()).toBe(false);
    broker.faults.plan({});
    expect(await deliver()).toBe(true);
    await project();
    await clock.advance(30 * 24 * HOUR_MS);
    broker.forgetIds('MESSAGES');
    expect(await deliver()).toBe(true);
    const notices: unknown[] = [];
    for await (const entry of log.replay()) notices.push(decodeMail(entry));
    expect(notices).toMatchObject([{ name: 'sent', data: { kind: 'notice', to: 'user', priority: 'high' } }]);
  });
});

describe('IM-06 a nudge', () => {
  const sender = { boundary, from: 'user', actor: 'user:test' };
  const nudge = (messageId: string) => ({ messageId, to: 'builder-1', body: 'Are you still at it?' });

  test('within a moment of another by the same writer is skipped, and the first one stands', async () => {
    const { clock, ids, postOffice, stored } = setup();
    const first = makeId('message', ids.ulid());
    const ask = (id = makeId('message', ids.ulid())) => postOffice.nudge(sender, nudge(id));
    expect(await ask(first)).toMatchObject({ result: { state: 'sent', messageId: first } });
    await clock.advance(4000);
    expect(await ask()).toMatchObject({ result: { state: 'skipped', messageId: first } });
    expect(await ask(first)).toMatchObject({ result: { state: 'sent', messageId: first } });
    await clock.advance(2000);
    expect(await ask()).toMatchObject({ result: { state: 'sent' } });
    expect(await stored()).toHaveLength(2);
  });

  test('many at once are one', async () => {
    const { ids, postOffice, stored } = setup();
    await Promise.all(
      Array.from({ length: 6 }, () => postOffice.nudge(sender, nudge(makeId('message', ids.ulid())))),
    );
    expect(await stored()).toHaveLength(1);
  });

  test('goes to agents only, and another writer has its own', async () => {
    const { ids, postOffice, stored } = setup();
    const asked = { ...nudge(makeId('message', ids.ulid())), to: 'user' };
    expect(await postOffice.nudge(sender, asked)).toMatchObject({ rejection: { code: 'RECIPIENT_UNKNOWN' } });
    await postOffice.nudge(sender, nudge(makeId('message', ids.ulid())));
    const other = { ...sender, from: 'builder-2' };
    await postOffice.nudge(other, nudge(makeId('message', ids.ulid())));
    expect(await stored()).toHaveLength(2);
  });
});
