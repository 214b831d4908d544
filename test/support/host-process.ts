// A host in a process of its own (test/fault/host-crash.test.ts). Arguments: a JSON object. Says `up` on standard output when it takes
// instructions, kills itself at the step that a line of its input names (it says `armed` when it knows), and stops in order when its input ends.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { TestBroker } from './broker.ts';
import { startHost, type HostFolders } from './host-rig.ts';

export interface HostProcessArguments {
  readonly broker: Pick<TestBroker, 'url' | 'user' | 'password'>;
  readonly folders: HostFolders;
  readonly config?: Readonly<Record<string, unknown>>;
}

const { broker, folders, config } = JSON.parse(process.argv[2] ?? '{}') as HostProcessArguments;

/** Where it dies by SIGKILL: the last line of its input. */
let crashAt = '';

const host = await startHost({
  broker: broker as TestBroker,
  folders,
  ...(config !== undefined && { config }),
  reached: (step) => {
    if (step === crashAt) process.kill(process.pid, 'SIGKILL');
  },
});
if (host.fatal.length > 0) throw host.fatal[0];
writeSync(1, 'up\n');

for await (const line of createInterface({ input: process.stdin })) {
  crashAt = line;
  writeSync(1, 'armed\n');
}
await host.stop();
process.exit(host.fatal.length === 0 ? 0 : 1);
