// Words to a turn whose runner goes away: the next attempt of the turn is told them anew, and they are done when it is.
import { expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { runs } from '#services/runs/service.ts';
import { makeId } from '#streams/ids.ts';
import { freshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane } from '#test/support/control-plane.ts';
import { createRun, typesOf } from '#test/support/run-facts.ts';
import { ended, reported, runnerFolders, startRunner } from '#test/support/runner-rig.ts';
import { ask, transition } from '#test/support/scripted-runner.ts';

/** Reads words; ends only with those that come after the first process of it has had some. */
const PROGRAM = `
import { existsSync, createReadStream, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
const say = (line) => console.log(JSON.stringify(line));
process.stdin.resume();
say({ type: 'steerable' });
say({ type: 'text', text: 'working' });
createInterface({ input: createReadStream(null, { fd: 3 }) }).on('line', (line) => {
  const { text } = JSON.parse(line);
  if (existsSync('told')) say({ type: 'result', outcome: 'done', summary: text });
  writeFileSync('told', text);
});
`;

test('ST-T7 words that a lost program had are told to the next one', async () => {
  await using broker = await freshBroker();
  await provision(broker);
  await using control = await startControlPlane({ broker, services: [runs] });
  const folders = runnerFolders();
  const first = await startRunner({ broker, folders, config: { finishMs: 0 } });
  const program = [process.execPath, '--input-type=module', '-e', PROGRAM];
  const request = { prompt: 'work', program, workspace: 'told', turnTimeoutMs: 60_000 };
  const runId = await createRun(control.ports, { request });
  await reported(control.ports, runId, ({ name }) => name === 'text');
  const commandId = makeId('command', systemIds.ulid());
  const words = { runId, commandId, type: 'steer', text: 'look left', actor: 'user:test' } as const;
  expect((await ask(control.ports, 'create-command', words)).outcome).toBe('ok');
  await transition(control.ports, runId, 'fleetlog.run.command-acknowledged.v1', 1);
  await first.stop();
  await using second = await startRunner({ broker, folders });
  expect(await ended(control.ports, runId)).toMatchObject({
    type: 'fleetlog.run.completed.v1',
    fence: 2,
    result: { summary: 'look left' },
    commandsClosed: [{ commandId, state: 'completed' }],
  });
  const told = (await typesOf(control.ports, runId)).filter((type) => type === 'command-acknowledged');
  expect(told).toHaveLength(2);
  expect([...control.fatal, ...first.fatal, ...second.fatal]).toEqual([]);
});
