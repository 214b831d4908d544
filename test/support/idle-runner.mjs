// Stands in for the process of a runner where only its life counts: no broker, no program. Ends in order at SIGTERM, unless the settings
// of its agent say otherwise by its name: `stubborn…` ignores it, `brief…` ends at once by itself, `parent…` leaves a process behind.
import { readFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

const { runner } = JSON.parse(readFileSync(process.env.FLEETLOG_CONFIG, 'utf8'));
if (runner.agent.startsWith('parent'))
  spawn('/bin/sh', ['-c', 'while :; do sleep 60; done'], {
    detached: true,
    stdio: 'ignore',
    env: { FLEETLOG_SPAWN: process.env.FLEETLOG_SPAWN },
  }).unref();
process.on('SIGTERM', () => {
  if (!runner.agent.startsWith('stubborn')) process.exit(0);
});
process.stderr.write(`runner of ${runner.agent} as ${runner.spawnId}\n`);
if (runner.agent.startsWith('brief')) {
  process.stderr.write('the disk of this agent is gone\n');
  process.exit(3);
}
// Stays until it is told to go.
createServer().listen(0, '127.0.0.1');
