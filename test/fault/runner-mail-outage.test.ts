// Mail while the broker is away, and a thousand messages at once: nothing is lost, nothing comes twice, and memory stays bounded.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { mailOf, mailUntil } from '#test/support/mail-asking.ts';
import { allInjected, sendMail, waysOf } from '#test/support/mail-facts.ts';
import type { RunnerProcessArguments } from '#test/support/runner-process.ts';
import { AGENT, runnerFolders, type RunnerFolders } from '#test/support/runner-rig.ts';
import { startFile, type StartedFile } from '#test/support/spawned-process.ts';

const REPLYING = [process.execPath, new URL('../support/replying-agent.ts', import.meta.url).pathname];
const READER = ['sh', '-c', `cat > /dev/null; echo '{"type":"result","outcome":"done","summary":"read"}'`];

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

/** A runner in a process of its own that takes instructions. */
const startRunner = async (folders: RunnerFolders, program: readonly string[]): Promise<StartedFile> => {
  const { url, user, password } = broker;
  const config = { program, mailWorkspace: 'mail' };
  const told: RunnerProcessArguments = { broker: { url, user, password }, folders, config };
  const runner = startFile('test/support/runner-process.ts', {}, [JSON.stringify(told)]);
  onTestFinished(async () => {
    runner.kill('SIGKILL');
    await runner.exit;
  });
  await runner.stdout.until(/^up$/);
  return runner;
};

const stop = async (runner: StartedFile): Promise<void> => {
  runner.endInput();
  expect(await runner.exit).toEqual({ code: 0, signal: null });
};

const delivered = (messageId: string): Promise<unknown> =>
  mailUntil(
    control.ports,
    AGENT,
    (event) => event.name === 'delivered' && event.data.messageId === messageId,
  );

const residentBytes = ({ pid }: StartedFile): number => {
  const [, kilobytes = '0'] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
};

test('WK-13 what an agent writes while the broker is away goes out later, once, and what waits is brought in one turn each', async () => {
  const folders = runnerFolders();
  const runner = await startRunner(folders, REPLYING);
  const asking = await sendMail(control.ports, { needsReply: true, body: 'wait for the file go' });
  await allInjected(control.ports, [asking]);
  const waiting = [await sendMail(control.ports), await sendMail(control.ports)];
  for (const messageId of waiting) await delivered(messageId);
  await broker.kill();
  writeFileSync(join(folders.workspaceRoot, 'mail', 'go'), '');
  const prompts = (): string =>
    readFileSync(join(folders.workspaceRoot, 'mail', 'answers.txt'), { encoding: 'utf8', flag: 'a+' });
  await expect.poll(prompts, { timeout: 30_000 }).toContain('owed');
  // Asked in the turn, with nobody to ask: the reply is kept, and nothing is owed any more.
  expect(prompts()).toMatch(/reply 200 .*"state":"queued"/);
  expect(prompts()).toMatch(/owed .*"owed":\[\]/);
  await broker.restart();
  await allInjected(control.ports, waiting);
  await mailUntil(
    control.ports,
    AGENT,
    (event) => event.name === 'answered' && event.data.messageId === asking,
  );
  await stop(runner);
  const replies = (await mailOf(control.ports, 'user')).filter(
    ({ event }) => event.name === 'sent' && event.data.replyTo === asking,
  );
  expect(replies).toHaveLength(1);
  for (const way of await waysOf(control.ports, [asking, ...waiting])) {
    expect(way.started).toHaveLength(1);
    expect(way).toMatchObject({ delivered: 1, injected: [{ runId: way.started[0] }] });
  }
}, 120_000);

test('1,000 messages at once are each in one prompt, and the runner stays small', async () => {
  const folders = runnerFolders();
  const body = 'x'.repeat(1500);
  const ids: string[] = [];
  for (let chunk = 0; chunk < 200; chunk++)
    ids.push(...(await Promise.all(Array.from({ length: 5 }, () => sendMail(control.ports, { body })))));
  const runner = await startRunner(folders, READER);
  const before = residentBytes(runner);
  await allInjected(control.ports, ids);
  const grownBytes = residentBytes(runner) - before;
  await stop(runner);
  const ways = await waysOf(control.ports, ids);
  expect(ways.filter(({ started }) => started.length !== 1)).toEqual([]);
  expect(ways.filter((way) => way.delivered !== 1 || way.injected.length !== 1)).toEqual([]);
  expect(new Set(ways.flatMap(({ started }) => started)).size).toBeLessThan(50);
  expect(grownBytes).toBeLessThan(100 * 1024 * 1024);
}, 180_000);
