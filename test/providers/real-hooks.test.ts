// The real Claude Code and Codex with our hooks and tools: one that owes a reply is sent on by the stop gate, gives it by its tool, and stops.
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import type { MailPart } from '#services/runner/control/control-parts.ts';
import { runs } from '#services/runs/service.ts';
import { makeId } from '#streams/ids.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { mail, owedReply, owing } from '#test/support/control-rig.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { startModelServer, type ModelServer } from '#test/support/model-server.ts';
import { environmentIn, pathOf, REAL_PROGRAMS, type RealProgram } from '#test/support/real-programs.ts';
import { createRun } from '#test/support/run-facts.ts';
import { ended, reportsOf, runnerFolders, startRunner } from '#test/support/runner-rig.ts';

const OWED = owedReply({ from: 'anna', subject: 'Which cart?' });
const obligations = owing();
const replies: unknown[] = [];
const mailbox: MailPart = {
  ...mail,
  reply: async (_turn, { messageId, replyTo, body }) => {
    replies.push({ replyTo, body });
    const { snapshot } = obligations;
    obligations.snapshot = { ...snapshot, owed: snapshot.owed.filter((owed) => owed.messageId !== replyTo) };
    return { kind: 'ok', result: { messageId, state: 'sent' } };
  },
};

let broker: FreshBroker;
let model: ModelServer;
let control: ControlPlane;
let runner: ControlPlane;

beforeAll(async () => {
  const reply = {
    server: 'fleetlog',
    tool: 'reply',
    input: { replyTo: OWED.messageId, body: 'The blue one.' },
  };
  model = await startModelServer([
    { match: 'Which cart?', replies: [{ served: reply }, { text: 'I have replied.' }] },
    { match: 'Which shop?', replies: [{ text: 'No.' }] },
    { match: 'forgetful task', replies: [{ text: 'Done, I think.' }] },
    { match: 'stubborn task', replies: [{ text: 'No.' }] },
  ]);
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
  const folders = runnerFolders();
  runner = await startRunner({
    broker,
    folders,
    environment: environmentIn(dirname(folders.dataDir), model.url),
    parts: { obligations, mail: mailbox },
    config: {
      killAfterMs: 5000,
      passEnvironment: ['SCRIPTED_KEY'],
      claudeProgram: pathOf('claude') ?? 'claude',
      codexProgram: pathOf('codex') ?? 'codex',
      codexArguments: ['-s', 'danger-full-access'],
    },
  });
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
});

const names = Object.keys(REAL_PROGRAMS) as RealProgram[];
describe.each(names.map((name) => ({ name })))('the real $name', ({ name }) => {
  const start = (prompt: string): Promise<string> =>
    createRun(control.ports, {
      provider: name,
      sessionId: makeId('session', systemIds.ulid()),
      request: { prompt, turnTimeoutMs: 100_000 },
    });

  test.skipIf(pathOf(name) === undefined)(
    'RO-01 that owes a reply is sent on, replies by its tool, and stops',
    async () => {
      obligations.snapshot = { ...obligations.snapshot, owed: [OWED] };
      replies.length = 0;
      const runId = await start('Do the forgetful task.');
      expect(await ended(control.ports, runId)).toMatchObject({
        type: 'fleetlog.run.completed.v1',
        result: { outcome: 'done', summary: 'I have replied.' },
      });
      expect(replies).toEqual([{ replyTo: OWED.messageId, body: 'The blue one.' }]);
      const reports = await reportsOf(control.ports, runId);
      expect(reports.filter(({ name: kind }) => kind === 'stop-gate')).toMatchObject([
        { data: { decision: 'blocked', blocks: 1, owed: [{ messageId: OWED.messageId }] } },
      ]);
      expect(reports.filter(({ name: kind }) => kind === 'prompt-echoed')).toMatchObject([
        { data: { origin: 'run' } },
      ]);
      expect(reports.filter(({ name: kind }) => kind === 'hook-failed')).toEqual([]);
      if (name === 'claude')
        expect(reports.find(({ name: kind }) => kind === 'session-ended')).toMatchObject({
          data: { reason: 'other' },
        });
    },
  );

  test.skipIf(pathOf(name) === undefined)(
    'that never replies is sent on three times and then let go, and what it owes is on record',
    async () => {
      obligations.snapshot = { ...obligations.snapshot, owed: [owedReply({ subject: 'Which shop?' })] };
      const runId = await start('Do the stubborn task.');
      expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
      const gates = (await reportsOf(control.ports, runId)).filter(({ name: kind }) => kind === 'stop-gate');
      expect(gates.map(({ data }) => ('decision' in data ? data.decision : ''))).toEqual([
        'blocked',
        'blocked',
        'blocked',
        'let-go',
      ]);
    },
  );
});
