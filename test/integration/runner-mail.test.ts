// The mail of a real runner, under its own broker user, with the real control plane: from the sender to the prompt, from the reply to
// the closed obligation.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { accountsOf, runnerInboxPrefix } from '#streams/accounts.ts';
import { makeId } from '#streams/ids.ts';
import { runnerUser } from '#streams/runner-user.ts';
import type { AgentMailRequestOf } from '#streams/mail-requests.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { answerTo, askAsUser, mailUntil, newMessageId } from '#test/support/mail-asking.ts';
import { allInjected, sendMail, waysOf } from '#test/support/mail-facts.ts';
import { createRun } from '#test/support/run-facts.ts';
import {
  AGENT,
  ended,
  reported,
  runnerFolders,
  startRunner,
  type RunnerFolders,
} from '#test/support/runner-rig.ts';

const READER = [process.execPath, new URL('../support/replying-agent.ts', import.meta.url).pathname];

let broker: FreshBroker;
let control: ControlPlane;
let runner: ControlPlane;
let folders: RunnerFolders;

beforeAll(async () => {
  const passwords = { systemPassword: 'system', controlPassword: 'control', viewerPassword: 'viewer' };
  const accounts = accountsOf(
    { agents: [{ ...BOUNDARY, agent: AGENT }] },
    { ...passwords, runnerPasswords: { [AGENT]: 'secret' } },
  );
  broker = await freshBroker({ accounts });
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs, sessions, mail] });
  folders = runnerFolders();
  runner = await startRunner({
    broker: { ...broker, user: runnerUser(AGENT), password: 'secret' },
    folders,
    config: { program: READER, mailWorkspace: 'mail' },
    inboxPrefix: runnerInboxPrefix(AGENT),
  });
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const send = (more: Partial<AgentMailRequestOf<'send'>> = {}): Promise<string> =>
  sendMail(control.ports, more);

const turnOf = async (messageId: string): Promise<string> => {
  await allInjected(control.ports, [messageId]);
  const [way] = await waysOf(control.ports, [messageId]);
  const runId = way?.injected[0]?.runId;
  if (runId === undefined) throw new Error('the message was brought by no run');
  return runId;
};

/** What the agent's program said in a run, behind a word. */
const said = async (runId: string, word: string): Promise<unknown> => {
  const report = await reported(
    control.ports,
    runId,
    (one) => one.name === 'text' && one.data.text.includes(`${word} `),
  );
  const text = report.name === 'text' ? report.data.text : '';
  const line = text.slice(text.indexOf(`${word} `)).split('\n')[0] ?? '';
  return JSON.parse(line.slice(line.indexOf('{'))) as unknown;
};

test('WK-15 a message becomes a prompt, its reply names the turn and closes what is owed, by its id', async () => {
  const [asking, other] = [
    await send({ needsReply: true, body: 'Shall we?' }),
    await send({ subject: 'By the way' }),
  ];
  const runId = await turnOf(asking);
  expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
  const prompts = readFileSync(join(folders.workspaceRoot, 'mail', 'prompts.txt'), 'utf8');
  expect(prompts).toContain(`Reply needed: yes, to ${asking}\n\nShall we?`);
  const reply = await mailUntil(
    control.ports,
    'user',
    (event) => event.name === 'sent' && event.data.replyTo === asking,
  );
  const [way] = await waysOf(control.ports, [asking]);
  const turnId = way?.injected[0]?.turnId;
  expect(reply.event.data).toMatchObject({
    from: AGENT,
    to: 'user',
    body: `about ${asking}: yes`,
    runId,
    turnId,
  });
  await mailUntil(
    control.ports,
    AGENT,
    (event) => event.name === 'answered' && event.data.messageId === asking,
  );
  // Read in the turn, after the reply and long before the projection had to know of it.
  expect(await said(runId, 'owed')).toMatchObject({ ready: true, owed: [] });
  await allInjected(control.ports, [asking, other]);
  for (const one of await waysOf(control.ports, [asking, other])) {
    expect(one).toMatchObject({ delivered: 1, expired: 0 });
    expect(one.started).toHaveLength(1);
  }
});

test('WK-13 what the agent owes is pushed to its runner, stands in its next prompt, and is gone when somebody else has answered', async () => {
  const open = await send({ needsReply: true, body: 'reply later, look until you owe' });
  expect(await said(await turnOf(open), 'owed')).toMatchObject({
    ready: true,
    owed: [{ messageId: open, from: 'user' }],
  });
  await ended(control.ports, await turnOf(await send({ body: 'by the way' })));
  const prompts = readFileSync(join(folders.workspaceRoot, 'mail', 'prompts.txt'), 'utf8');
  expect(prompts).toContain(`You still owe replies to earlier messages:\n- ${open} from user\n`);
  await askAsUser(control.ports, 'reply', answerTo(open), AGENT);
  expect(await said(await turnOf(await send({ body: 'look until all is answered' })), 'owed')).toMatchObject({
    owed: [],
  });
});

test('two messages under one id are one', async () => {
  const messageId = newMessageId();
  await send({ messageId });
  await send({ messageId });
  const runId = await turnOf(messageId);
  await ended(control.ports, runId);
  const [way] = await waysOf(control.ports, [messageId]);
  expect(way).toMatchObject({ prompts: [runId], started: [runId], delivered: 1 });
});

test('what comes while the agent works goes into one next turn, in the same conversation', async () => {
  const first = await send({ body: 'start' });
  const runId = await turnOf(first);
  const later = [await send(), await send(), await send()];
  const nextId = await turnOf(later[0] ?? '');
  await ended(control.ports, nextId);
  const ways = await waysOf(control.ports, later);
  expect(new Set(ways.flatMap(({ started }) => started)).size).toBeLessThanOrEqual(2);
  const sessionsOf = (await waysOf(control.ports, [first, ...later])).flatMap(({ injected }) =>
    injected.map(({ sessionId }) => sessionId),
  );
  expect(new Set(sessionsOf).size).toBe(1);
  expect(nextId).not.toBe(runId);
});

/** Says that it has taken up what it is told on its file descriptor 3, and ends with it. */
const STEERABLE = `
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
const say = (line) => console.log(JSON.stringify(line));
process.stdin.resume();
process.stdin.on('end', () => {
  say({ type: 'steerable', acknowledges: true });
  say({ type: 'text', text: 'working' });
  createInterface({ input: createReadStream(null, { fd: 3 }) }).on('line', (line) => {
    const { commandId, text } = JSON.parse(line);
    say({ type: 'steered', commandId });
    say({ type: 'result', outcome: 'done', summary: text.slice(-2000) });
  });
});
`;

test('IM-02 mail for a conversation whose turn runs goes into that turn, once', async () => {
  const sessionId = makeId('session', systemIds.ulid());
  const program = [process.execPath, '--input-type=module', '-e', STEERABLE];
  const request = { prompt: 'Work.', program, turnTimeoutMs: 60_000 };
  const runId = await createRun(control.ports, { provider: 'exec', sessionId, request });
  await reported(control.ports, runId, (one) => one.name === 'text');
  const messageId = await send({ sessionId, body: 'Look at the herons as well.' });
  expect(await ended(control.ports, runId)).toMatchObject({
    type: 'fleetlog.run.completed.v1',
    result: { summary: expect.stringContaining('Look at the herons as well.') as string },
  });
  await allInjected(control.ports, [messageId]);
  const [way] = await waysOf(control.ports, [messageId]);
  expect(way).toMatchObject({ prompts: [], injected: [{ runId, sessionId }] });
});
