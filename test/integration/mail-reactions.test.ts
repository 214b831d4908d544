// What reaches the mail service from runners and runs, on a real broker with two instances: reports become what happened to messages,
// ends of runs become notices, batches become runs; each once.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRedactor } from '#libs/redaction/redactor.ts';
import { createMessageLookup } from '#services/mail/message-lookup.ts';
import { createMessageLog } from '#services/mail/message-log.ts';
import { decodeRunEnd, handleRunEnd } from '#services/mail/notices.ts';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { viewKey } from '#streams/buckets.ts';
import { makeId } from '#streams/ids.ts';
import { systemIds } from '#libs/system/ids.ts';
import { mailRunId, mailSessionId } from '#streams/mail-requests.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import {
  answerTo,
  askAsAgent,
  askAsUser,
  letter,
  mailOf,
  mailUntil,
  newMessageId,
  reportOf,
} from '#test/support/mail-asking.ts';
import { createRun, shown } from '#test/support/run-facts.ts';
import { ask, claimTurn, transition, turnInstruction } from '#test/support/scripted-runner.ts';

const AGENTS = ['builder-1', 'builder-2', 'lead-1', 'scout-1', 'reviewer-1'];

let broker: FreshBroker;
let one: ControlPlane;
let two: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, AGENTS);
  const config = { mail: { agents: AGENTS, people: ['user', 'anna'] } };
  one = await startControlPlane({ broker, services: [runs, sessions, mail], config });
  two = await startControlPlane({ broker, services: [mail], config });
});
afterAll(async () => {
  expect([...one.fatal, ...two.fatal]).toEqual([]);
  await Promise.all([one.stop(), two.stop()]);
  await broker[Symbol.asyncDispose]();
});

/** The message's summary, from this sequence of MESSAGES on. */
const messageShown = (messageId: string, seq: number) =>
  shown(one.ports, { bucket: 'messages', key: viewKey(BOUNDARY, messageId) }, seq);
const turnFacts = () => ({
  runId: makeId('run', systemIds.ulid()),
  sessionId: makeId('session', systemIds.ulid()),
  turnId: makeId('turn', systemIds.ulid()),
});

describe('what a runner reports', () => {
  test('a message that was asked for and then posted is one message', async () => {
    const request = letter({ to: 'scout-1' });
    await askAsAgent(one.ports, 'builder-2', 'send', request);
    const postedAt = one.ports.clock.now();
    await reportOf(one.ports, 'builder-2', { name: 'mail-posted', data: { op: 'send', request, postedAt } });
    const next = letter({ to: 'scout-1' });
    await reportOf(one.ports, 'builder-2', {
      name: 'mail-posted',
      data: { op: 'send', request: next, postedAt: postedAt + 1 },
    });
    // The later one of the same agent is there: the earlier one has been dealt with.
    await mailUntil(one.ports, 'scout-1', ({ data }) => data.messageId === next.messageId);
    const ids = (await mailOf(one.ports, 'scout-1')).map(({ id }) => id);
    expect(ids.filter((id) => id === request.messageId)).toHaveLength(1);
  });

  test('a reply that was posted closes the message, and says when it was written', async () => {
    const question = letter({ to: 'builder-2' });
    await askAsUser(one.ports, 'send', question);
    const request = answerTo(question.messageId);
    const postedAt = one.ports.clock.now() - 60_000;
    await reportOf(one.ports, 'builder-2', { name: 'mail-posted', data: { op: 'reply', request, postedAt } });
    const answered = await mailUntil(one.ports, 'builder-2', ({ name }) => name === 'answered');
    expect(answered.event.data).toMatchObject({ messageId: question.messageId, answeredAt: postedAt });
  });

  test('a posted message to nobody comes back as one notice to its writer, however often it is delivered', async () => {
    const request = letter({ to: 'nobody' });
    const data = { op: 'send', request, postedAt: one.ports.clock.now() } as const;
    await reportOf(one.ports, 'scout-1', { name: 'mail-posted', data });
    await reportOf(one.ports, 'scout-1', { name: 'mail-posted', data });
    const notices = () =>
      mailOf(one.ports, 'scout-1').then((mails) =>
        mails.filter(({ event }) => event.name === 'sent' && event.data.replyTo === request.messageId),
      );
    await mailUntil(one.ports, 'scout-1', (event) => event.name === 'sent' && event.data.kind === 'notice');
    const later = letter({ to: 'scout-1' });
    await reportOf(one.ports, 'scout-1', {
      name: 'mail-posted',
      data: { op: 'send', request: later, postedAt: data.postedAt },
    });
    await mailUntil(one.ports, 'scout-1', (event) => event.data.messageId === later.messageId);
    expect(await notices()).toMatchObject([{ event: { data: { from: 'fleetlog', kind: 'notice' } } }]);
  });

  test('delivered and injected are stored once, and nothing can be said of the mail of another', async () => {
    const question = letter({ to: 'builder-1' });
    await askAsUser(one.ports, 'send', question);
    const { messageId } = question;
    const at = one.ports.clock.now();
    const delivered = { messageId, runnerId: 'r1', deliveredAt: at };
    await reportOf(one.ports, 'builder-2', {
      name: 'mail-delivered',
      data: { ...delivered, deliveredAt: 1 },
    });
    await reportOf(one.ports, 'builder-1', { name: 'mail-delivered', data: delivered });
    await reportOf(one.ports, 'builder-1', { name: 'mail-delivered', data: delivered });
    const facts = turnFacts();
    await reportOf(one.ports, 'builder-1', {
      name: 'mail-injected',
      data: { messageId, ...facts, injectedAt: at + 1 },
    });
    const { seq } = await mailUntil(one.ports, 'builder-1', ({ name }) => name === 'injected');
    expect(await messageShown(messageId, seq)).toMatchObject({
      state: 'injected',
      deliveredAt: at,
      injectedRunId: facts.runId,
      injectedTurnId: facts.turnId,
    });
    const entries = (await mailOf(one.ports, 'builder-1')).filter(
      ({ event }) => event.data.messageId === messageId,
    );
    expect(entries.map(({ event }) => event.name)).toEqual(['sent', 'delivered', 'injected']);
  });
});

describe('TR-33 WK-24 WK-25 the parent of a run', () => {
  const noticesAbout = async (parent: string, runId: string) =>
    (await mailOf(one.ports, parent)).filter(
      ({ event }) => event.name === 'sent' && event.data.runId === runId,
    );

  /** Handles the end of a run once more, as after a crash before the acknowledgement. */
  const redeliver = async (runId: string): Promise<void> => {
    const log = two.ports.log('MESSAGES');
    const lookup = createMessageLookup({ log, messages: two.ports.bucket('messages') });
    const messageLog = createMessageLog({ log, lookup, clock: two.ports.clock });
    const transitions = two.ports.log('TRANSITIONS');
    const handle = handleRunEnd({ messageLog, transitions, redactor: createRedactor() });
    for await (const entry of transitions.read(aggregateSubject(BOUNDARY, 'run', runId))) {
      const end = decodeRunEnd(entry);
      if (end !== undefined) expect(await handle(end)).toEqual({ kind: 'ok' });
    }
  };

  test('is told once how it ended, also when the transition comes again', async () => {
    const runId = await createRun(one.ports, { parent: 'lead-1' });
    await ask(one.ports, 'cancel', { runId, reason: 'wrong branch', actor: 'user:test' });
    await transition(one.ports, runId, 'fleetlog.run.cancelled.v1');
    const { event: notice } = await mailUntil(one.ports, 'lead-1', ({ name }) => name === 'sent');
    expect(notice.data).toMatchObject({ from: 'builder-1', kind: 'notice', runId, needsReply: false });
    expect(notice.name === 'sent' && notice.data.body).toContain('wrong branch');

    await redeliver(runId);
    await redeliver(runId);
    const next = await createRun(one.ports, { parent: 'lead-1' });
    await ask(one.ports, 'cancel', { runId: next, reason: 'again', actor: 'user:test' });
    await mailUntil(one.ports, 'lead-1', (event) => event.name === 'sent' && event.data.runId === next);
    expect(await noticesAbout('lead-1', runId)).toHaveLength(1);
    expect(await noticesAbout('lead-1', next)).toHaveLength(1);
  });

  test('WK-17 is told when the runner fell silent in the middle of the turn', async () => {
    const runId = await createRun(one.ports, { parent: 'lead-1', replay: 'fail', leaseMs: 2000 });
    const turn = await claimTurn(one.ports, await turnInstruction(one.ports, runId));
    await turn.started();
    await mailUntil(one.ports, 'lead-1', (event) => event.name === 'sent' && event.data.runId === runId);
    expect(await noticesAbout('lead-1', runId)).toMatchObject([
      { event: { data: { subject: 'Run failed: Test', priority: 'high', kind: 'notice' } } },
    ]);
  });

  test('is nobody unless named', async () => {
    const runId = await createRun(one.ports);
    await ask(one.ports, 'cancel', { runId, reason: 'x', actor: 'user:test' });
    const next = await createRun(one.ports, { parent: 'anna' });
    await ask(one.ports, 'cancel', { runId: next, reason: 'x', actor: 'user:test' });
    await mailUntil(one.ports, 'anna', (event) => event.name === 'sent' && event.data.runId === next);
    for (const name of [...AGENTS, 'anna', 'user']) expect(await noticesAbout(name, runId)).toEqual([]);
  });
});

describe('beginning the turn of a batch', () => {
  const createdOf = (runId: string) => transition(one.ports, runId, 'fleetlog.run.created.v1');
  const batch = (over: { readonly sessionId?: string } = {}) => ({
    batchId: makeId('batch', systemIds.ulid()),
    messageIds: [newMessageId()],
    prompt: 'One message for you.',
    provider: 'exec' as const,
    ...over,
  });

  test('makes one run however often it is asked, and says how that run stands', async () => {
    const request = batch();
    const first = await askAsAgent(one.ports, 'builder-1', 'begin-turn', request);
    expect(first).toMatchObject({
      outcome: 'ok',
      result: {
        runId: mailRunId(request.batchId),
        sessionId: mailSessionId(request.batchId),
        state: 'queued',
        turnId: null,
      },
    });
    expect(await askAsAgent(two.ports, 'builder-1', 'begin-turn', request)).toEqual(first);
    const created = await createdOf(mailRunId(request.batchId));
    expect(created).toMatchObject({ agent: 'builder-1', replay: 'fail', maxAttempts: 1, title: '1 message' });
    const runId = mailRunId(request.batchId);
    await ask(one.ports, 'cancel', { runId, reason: 'x', actor: 'user:test' });
    expect(await askAsAgent(one.ports, 'builder-1', 'begin-turn', request)).toMatchObject({
      result: { runId, state: 'cancelled' },
    });
  });

  test('with other words under the same id is refused', async () => {
    const request = batch();
    await askAsAgent(one.ports, 'builder-1', 'begin-turn', request);
    const other = { ...request, prompt: 'Two messages for you.' };
    expect(await askAsAgent(one.ports, 'builder-1', 'begin-turn', other)).toMatchObject({
      outcome: 'refused',
      code: 'RUN_CONFLICTING_REQUEST',
    });
  });

  test('does not go on with the conversation of another agent', async () => {
    const sessionId = makeId('session', systemIds.ulid());
    const runId = await createRun(one.ports, { sessionId, agent: 'builder-2' });
    const { seq } = await createdOf(runId);
    await shown(one.ports, { bucket: 'sessions', key: viewKey(BOUNDARY, sessionId) }, seq);
    expect(await askAsAgent(one.ports, 'builder-1', 'begin-turn', batch({ sessionId }))).toMatchObject({
      outcome: 'refused',
      code: 'SESSION_FOREIGN',
    });
  });
});
