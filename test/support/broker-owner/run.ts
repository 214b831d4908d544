// A process of its own that owns a broker, for tests of what happens to the broker when its owner is killed.
// Usage: node run.ts <data directory> <grace ms> [ephemeral]; prints one JSON line when the broker is ready and then waits.
import { startBroker } from '#libs/broker/start-broker.ts';
import { systemClock } from '#libs/system/clock.ts';
import { TEST_ACCOUNTS, testExecutable } from '#test/support/broker.ts';

const [dataDir = '', graceMs = '0', kind] = process.argv.slice(2);

try {
  const broker = await startBroker({
    executable: await testExecutable(),
    dataDir,
    accounts: TEST_ACCOUNTS,
    stopGraceMs: Number(graceMs),
    isEphemeral: kind === 'ephemeral',
    clock: systemClock,
  });
  process.stdout.write(`${JSON.stringify({ pid: broker.pid(), url: broker.url })}\n`);
} catch (error) {
  process.stdout.write(
    `${JSON.stringify({ error: error instanceof Error ? error.message : String(error) })}\n`,
  );
  process.exitCode = 1;
}
