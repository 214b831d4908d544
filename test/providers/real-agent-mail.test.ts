// Real agents of the Agent Client Protocol with our tools, and real mail: one that owes a reply is sent on by the stop gate, gives it by its
// tool, and stops; and again in the next turn of its process, with the servers and the token that it was given in the first.
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readEnvironment } from '#libs/system/env.ts';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { agentHome } from '#test/support/agent-homes.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { newMessageId } from '#test/support/mail-asking.ts';
import { allInjected, sendMail, waysOf } from '#test/support/mail-facts.ts';
import { startModelServer, type ModelServer } from '#test/support/model-server.ts';
import { REAL_AGENTS, variableOf, type RealAgent } from '#test/support/real-programs.ts';
import { ended, reportsOf, runnerFolders, startRunner } from '#test/support/runner-rig.ts';

const agents = Object.keys(REAL_AGENTS) as RealAgent[];
describe.each(agents.map((name) => ({ name })))('the real $name', ({ name }) => {
  const path = readEnvironment()[variableOf(name)];
  const [first, second] = [newMessageId(), newMessageId()];
  let broker: FreshBroker;
  let model: ModelServer;
  let control: ControlPlane;
  let runner: ControlPlane;

  beforeAll(async () => {
    if (path === undefined) return;
    const answering = (messageId: string) => ({
      match: `- ${messageId} from user: Which cart?`,
      replies: [
        {
          served: { server: 'fleetlog', tool: 'reply', input: { replyTo: messageId, body: 'The blue one.' } },
        },
        { text: 'I have replied.' },
      ],
    });
    model = await startModelServer([
      answering(first),
      answering(second),
      { match: 'You have a new message', replies: [{ text: 'I have read it.' }] },
    ]);
    broker = await freshBroker();
    await provision(broker);
    control = await startControlPlane({ broker, services: [runs, sessions, mail] });
    const folders = runnerFolders();
    const { environment, config } = agentHome(name, path, dirname(folders.dataDir), model.url);
    const more = { killAfterMs: 5000, mailProvider: 'acp', acpPermissions: 'allow' };
    runner = await startRunner({ broker, folders, environment, config: { ...config, ...more } });
  });
  afterAll(async () => {
    if (path === undefined) return;
    expect([...control.fatal, ...runner.fatal]).toEqual([]);
    await runner.stop();
    await control.stop();
    await broker[Symbol.asyncDispose]();
    await model[Symbol.asyncDispose]();
  });

  /** Brings a message to the agent and waits until its turn is over; gives the session. */
  const turnOf = async (messageId: string, sessionId?: string): Promise<string> => {
    const more = sessionId === undefined ? {} : { sessionId };
    await sendMail(control.ports, {
      messageId,
      subject: 'Which cart?',
      body: 'Please say.',
      needsReply: true,
      ...more,
    });
    await allInjected(control.ports, [messageId]);
    const [way] = await waysOf(control.ports, [messageId]);
    const runId = way?.injected[0]?.runId ?? '';
    const end = await ended(control.ports, runId);
    expect(end).toMatchObject({ type: 'fleetlog.run.completed.v1', result: { summary: 'I have replied.' } });
    const gates = (await reportsOf(control.ports, runId)).filter(({ name: kind }) => kind === 'stop-gate');
    expect(gates).toMatchObject([{ data: { decision: 'blocked', blocks: 1, owed: [{ messageId }] } }]);
    return end.type === 'fleetlog.run.completed.v1' ? end.sessionId : '';
  };

  test.skipIf(path === undefined)(
    'RO-01 that owes a reply is sent on, replies by its tool, and stops',
    async () => {
      const sessionId = await turnOf(first);
      const processes = await findMarked(`FLEETLOG_SESSION=${sessionId}`);
      expect(await turnOf(second, sessionId)).toBe(sessionId);
      expect(await findMarked(`FLEETLOG_SESSION=${sessionId}`)).toEqual(
        expect.arrayContaining([...processes]),
      );
    },
  );
});
