// A runner in a process of its own, which may be told to kill itself at a step of a turn (test/fault/runner-crash.test.ts).
// Arguments: a JSON object. Says `up` on standard output when it takes instructions, and stops in order when its input ends.
import { writeSync } from 'node:fs';
import type { MailStep } from '#services/runner/mailbox/mail-turns.ts';
import type { TurnStep } from '#services/runner/turn-parts.ts';
import type { TestBroker } from './broker.ts';
import { startRunner, type RunnerFolders } from './runner-rig.ts';

export interface RunnerProcessArguments {
  readonly broker: Pick<TestBroker, 'url' | 'user' | 'password'>;
  readonly folders: RunnerFolders;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly inboxPrefix?: string;
  /** Dies by SIGKILL when a turn or a message gets here. */
  readonly crashAt?: TurnStep | MailStep;
}

const { broker, folders, config, inboxPrefix, crashAt } = JSON.parse(
  process.argv[2] ?? '{}',
) as RunnerProcessArguments;

const runner = await startRunner({
  broker,
  folders,
  ...(config !== undefined && { config }),
  ...(inboxPrefix !== undefined && { inboxPrefix }),
  reached: (step) => {
    if (step === crashAt) process.kill(process.pid, 'SIGKILL');
  },
});
if (runner.fatal.length > 0) throw runner.fatal[0];
writeSync(1, 'up\n');

process.stdin.resume();
process.stdin.on('end', () => {
  void runner.stop().then(() => process.exit(runner.fatal.length === 0 ? 0 : 1));
});
