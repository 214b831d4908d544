// The real Claude Code and Codex with our hooks and tools, and real mail: one that owes a reply is sent on by the stop gate, gives it
// by its tool, and stops.
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { mailUntil, newMessageId } from '#test/support/mail-asking.ts';
import { allInjected, sendMail, waysOf } from '#test/support/mail-facts.ts';
import { startModelServer, type ModelServer } from '#test/support/model-server.ts';
import { environmentIn, pathOf, REAL_PROGRAMS, type RealProgram } from '#test/support/real-programs.ts';
import {
  AGENT,
  ended,
  reportsOf,
  runnerFolders,
  startRunner,
  type StoredReport,
} from '#test/support/runner-rig.ts';

const names = Object.keys(REAL_PROGRAMS) as RealProgram[];
describe.each(names.map((name) => ({ name })))('the real $name', ({ name }) => {
  const [answered, ignored] = [newMessageId(), newMessageId()];
  let broker: FreshBroker;
  let model: ModelServer;
  let control: ControlPlane;
  let runner: ControlPlane;

  beforeAll(async () => {
    if (pathOf(name) === undefined) return;
    const input = { replyTo: answered, body: 'The blue one.' };
    model = await startModelServer([
      {
        match: `- ${answered} from user: Which cart?`,
        replies: [{ served: { server: 'fleetlog', tool: 'reply', input } }, { text: 'I have replied.' }],
      },
      { match: `- ${ignored} from user: Which shop?`, replies: [{ text: 'No.' }] },
      { match: 'You have a new message', replies: [{ text: 'I have read it.' }] },
    ]);
    broker = await freshBroker();
    await provision(broker);
    control = await startControlPlane({ broker, services: [runs, sessions, mail] });
    const folders = runnerFolders();
    runner = await startRunner({
      broker,
      folders,
      environment: environmentIn(dirname(folders.dataDir), model.url),
      config: {
        killAfterMs: 5000,
        passEnvironment: ['SCRIPTED_KEY'],
        claudeProgram: pathOf('claude') ?? 'claude',
        codexProgram: pathOf('codex') ?? 'codex',
        codexArguments: ['-s', 'danger-full-access'],
        mailProvider: name,
      },
    });
  });
  afterAll(async () => {
    if (pathOf(name) === undefined) return;
    expect([...control.fatal, ...runner.fatal]).toEqual([]);
    await runner.stop();
    await control.stop();
    await broker[Symbol.asyncDispose]();
    await model[Symbol.asyncDispose]();
  });

  /** Brings a message to the agent; the reports of the turn that it was in. */
  const turnOf = async (messageId: string, subject: string): Promise<readonly StoredReport[]> => {
    await sendMail(control.ports, { messageId, subject, body: 'Please say.', needsReply: true });
    await allInjected(control.ports, [messageId]);
    const [way] = await waysOf(control.ports, [messageId]);
    const runId = way?.injected[0]?.runId ?? '';
    expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
    return reportsOf(control.ports, runId);
  };
  const gatesOf = (reports: readonly StoredReport[]): unknown[] =>
    reports.filter(({ name: kind }) => kind === 'stop-gate').map(({ data }) => data);

  test.skipIf(pathOf(name) === undefined)(
    'RO-01 WK-15 that owes a reply is sent on, replies by its tool, and stops',
    async () => {
      const reports = await turnOf(answered, 'Which cart?');
      expect(gatesOf(reports)).toMatchObject([
        {
          decision: 'blocked',
          blocks: 1,
          owed: [{ messageId: answered, from: 'user', subject: 'Which cart?' }],
        },
      ]);
      const reply = await mailUntil(control.ports, 'user', (event) => event.name === 'sent');
      const turnId = reports.find(({ name: kind }) => kind === 'turn-started')?.data;
      expect(reply.event.data).toMatchObject({
        from: AGENT,
        body: 'The blue one.',
        replyTo: answered,
        turnId: turnId !== undefined && 'turnId' in turnId ? turnId.turnId : '',
      });
      const prompts = reports.filter(({ name: kind }) => kind === 'prompt-echoed');
      expect(prompts).toMatchObject([{ data: { origin: 'run', text: expect.stringContaining(answered) } }]);
      expect(reports.filter(({ name: kind }) => kind === 'hook-failed')).toEqual([]);
      if (name === 'claude')
        expect(reports.find(({ name: kind }) => kind === 'session-ended')).toMatchObject({
          data: { reason: 'other' },
        });
    },
  );

  test.skipIf(pathOf(name) === undefined)(
    'RO-01 that never replies is sent on three times and then let go, and what it owes is on record',
    async () => {
      const owed = [{ messageId: ignored, from: 'user', subject: 'Which shop?' }];
      expect(gatesOf(await turnOf(ignored, 'Which shop?'))).toMatchObject([
        { decision: 'blocked', blocks: 1, owed },
        { decision: 'blocked', blocks: 2, owed },
        { decision: 'blocked', blocks: 3, owed },
        { decision: 'let-go', blocks: 3, owed },
      ]);
    },
  );
});
