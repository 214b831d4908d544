// A runner that is killed on the way of a message: however far it had come, the message is in exactly one prompt that has started.
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { MAIL_STEPS } from '#services/runner/mailbox/mail-turns.ts';
import { TURN_STEPS } from '#services/runner/turn-parts.ts';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { allInjected, sendMail, waysOf } from '#test/support/mail-facts.ts';
import { useRunnerProcesses } from '#test/support/runner-processes.ts';
import { AGENT, reportsOf, runnerFolders, type RunnerFolders } from '#test/support/runner-rig.ts';

/** Reads its prompt, and is done. */
const READER = ['sh', '-c', `cat > /dev/null; echo '{"type":"result","outcome":"done","summary":"read"}'`];

let broker: FreshBroker;
let control: ControlPlane;
let folders: RunnerFolders;

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
afterAll(async () => {
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const { start, up, stop } = useRunnerProcesses(() => ({
  broker,
  folders,
  config: { program: READER, mailWorkspace: 'mail', killAfterMs: 300 },
}));

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
