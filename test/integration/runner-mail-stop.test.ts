// What an agent says while its runner is being stopped: heard, kept and delivered, before anything is closed.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { mailOf } from '#test/support/mail-asking.ts';
import { allInjected, sendMail, waysOf } from '#test/support/mail-facts.ts';
import { ended, reportsOf, runnerFolders, startRunner } from '#test/support/runner-rig.ts';

const REPLYING = [process.execPath, new URL('../support/replying-agent.ts', import.meta.url).pathname];

let broker: FreshBroker;
let control: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs, sessions, mail] });
});
afterAll(async () => {
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

test('RN-02 WK-11 intake ends first, what is still said is served, and only then the buffer is flushed and closed', async () => {
  const folders = runnerFolders();
  const config = { program: REPLYING, mailWorkspace: 'mail', finishMs: 4000 };
  const runner = await startRunner({ broker, folders, config });
  const asking = await sendMail(control.ports, { needsReply: true, body: 'wait for the file go' });
  await allInjected(control.ports, [asking]);
  const [way] = await waysOf(control.ports, [asking]);
  const runId = way?.started[0] ?? '';
  const stopping = runner.stop();
  // From now on the runner takes nothing more; its agent has yet to reply.
  const late = await sendMail(control.ports);
  writeFileSync(join(folders.workspaceRoot, 'mail', 'go'), '');
  await stopping;
  expect(runner.fatal).toEqual([]);
  const replies = (await mailOf(control.ports, 'user')).map(({ event }) => event.data);
  expect(replies).toMatchObject([{ replyTo: asking, runId }]);
  expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
  const names = (await reportsOf(control.ports, runId)).map(({ name }) => name);
  expect(names.at(-1)).toBe('turn-finished');
  // What came too late waits for the next process, and is brought by it.
  expect(await waysOf(control.ports, [late])).toMatchObject([{ started: [] }]);
  const next = await startRunner({ broker, folders, config });
  await allInjected(control.ports, [late]);
  await next.stop();
});

test('RN-01 the endpoint, what is owed and the buffer are there for the first program of a new process', async () => {
  const folders = runnerFolders();
  const open = await sendMail(control.ports, { needsReply: true, body: 'reply later, look until you owe' });
  const runner = await startRunner({ broker, folders, config: { program: REPLYING, mailWorkspace: 'mail' } });
  await allInjected(control.ports, [open]);
  const [way] = await waysOf(control.ports, [open]);
  const runId = way?.started[0] ?? '';
  await ended(control.ports, runId);
  const texts = (await reportsOf(control.ports, runId)).flatMap((one) =>
    one.name === 'text' ? one.data.text : [],
  );
  expect(texts.join('\n')).toContain(`"messageId":"${open}"`);
  await runner.stop();
});
