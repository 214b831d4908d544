// A runner that is killed on the way of a message: however far it had come, the message is in exactly one prompt that has started.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { MAIL_STEPS } from '#services/runner/mailbox/mail-turns.ts';
import { TURN_STEPS } from '#services/runner/turn-parts.ts';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { allInjected, sendMail, waysOf } from '#test/support/mail-facts.ts';
import type { RunnerProcessArguments } from '#test/support/runner-process.ts';
import { AGENT, reportsOf, runnerFolders, type RunnerFolders } from '#test/support/runner-rig.ts';

const PROGRAM = new URL('../support/runner-process.ts', import.meta.url).pathname;
/** Reads its prompt, and is done. */
const READER = ['sh', '-c', `cat > /dev/null; echo '{"type":"result","outcome":"done","summary":"read"}'`];

let broker: FreshBroker;
let control: ControlPlane;
let folders: RunnerFolders;
const running = new Set<ChildProcess>();

/** What a dead runner had in hand comes again after the ack wait, which is 10 s; here after 2 s. */
const hasty = (stream: string): number | undefined =>
  stream === 'COMMANDS' || stream === 'MESSAGES' ? 2000 : undefined;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, [AGENT], [], hasty);
  control = await startControlPlane({
    broker,
    services: [runs, sessions, mail],
    config: { runs: { sweepMs: 1000 } },
  });
});
beforeEach(() => {
  folders ??= runnerFolders();
});
afterEach(async () => {
  for (const child of running) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});
afterAll(async () => {
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const start = (more: Partial<RunnerProcessArguments> = {}): ChildProcess => {
  const { url, user, password } = broker;
  const config = { program: READER, mailWorkspace: 'mail' };
  const told: RunnerProcessArguments = { broker: { url, user, password }, folders, config, ...more };
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(told)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  running.add(child);
  child.on('exit', () => running.delete(child));
  return child;
};

const up = async (child: ChildProcess): Promise<ChildProcess> => {
  if (child.stdout === null) throw new Error('no standard output');
  for await (const line of createInterface({ input: child.stdout })) if (line === 'up') return child;
  throw new Error('the runner ended before it was up');
};

const stop = async (child: ChildProcess): Promise<void> => {
  child.stdin?.end();
  if (child.exitCode === null) await once(child, 'exit');
  expect(child.exitCode).toBe(0);
};

const expectGapless = async (): Promise<void> => {
  const numbers = (await reportsOf(control.ports)).flatMap(({ sourceSeq }) => sourceSeq ?? []);
  expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers.map((_, at) => at + 1));
};

describe('a runner that is killed', () => {
  test.each([...MAIL_STEPS, ...TURN_STEPS])(
    'at the step %s brings each message in one turn that has started',
    async (crashAt) => {
      const ids = [];
      for (let at = 0; at < 3; at++) ids.push(await sendMail(control.ports, { body: `message ${at}` }));
      const crashing = start({ crashAt });
      await once(crashing, 'exit');
      expect(crashing.signalCode).toBe('SIGKILL');
      const next = await up(start());
      await allInjected(control.ports, ids);
      await stop(next);
      for (const way of await waysOf(control.ports, ids)) {
        expect(way.started).toHaveLength(1);
        expect(way.injected.map(({ runId }) => runId)).toEqual(way.started);
        expect(way.prompts.length).toBeLessThanOrEqual(2);
        expect(way.delivered).toBe(1);
      }
      await expectGapless();
    },
    180_000,
  );
});
