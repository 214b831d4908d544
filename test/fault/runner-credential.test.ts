// A runner whose credential is replaced at the broker, in the middle of a turn: it says that it is refused, keeps what it has to say, and goes
// on when its own file has the new one.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseSections } from '#libs/config/parse.ts';
import { configSources } from '#libs/config/sources.ts';
import { NatsConfig } from '#services/nats-config.ts';
import { runs } from '#services/runs/service.ts';
import { accountsOf, runnerInboxPrefix } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { freshBroker, scratchDir, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane } from '#test/support/control-plane.ts';
import { createRun } from '#test/support/run-facts.ts';
import {
  AGENT,
  ended,
  reported,
  reportsOf,
  runnerFolders,
  script,
  startRunner,
} from '#test/support/runner-rig.ts';

const accounts = (runnerPassword: string) =>
  accountsOf(
    { agents: [{ ...BOUNDARY, agent: AGENT }] },
    {
      systemPassword: 'system',
      controlPassword: 'control',
      viewerPassword: 'viewer',
      runnerPasswords: { [AGENT]: runnerPassword },
    },
  );

/** What a process that is given this file connects with. */
const passwordOf = (path: string): (() => string) => {
  const sources = configSources({}, { FLEETLOG_NATS_PASSWORD_FILE: path });
  const { password } = parseSections({ nats: NatsConfig }, sources).sections.nats.config;
  return () => password?.revealLatest() ?? '';
};

test('RN-11 ER-17 a credential that is refused loses no report: the runner says why it waits, and delivers when its file has the new one', async () => {
  const dataDir = scratchDir('broker-credential');
  let broker = await freshBroker({ dataDir, accounts: accounts('first') });
  const clientPort = broker.broker.clientPort;
  /** The same broker, which knows the runner by another password. */
  const restartWith = async (password: string): Promise<FreshBroker> => {
    await broker.broker.stop();
    return freshBroker({ dataDir, clientPort, accounts: accounts(password) });
  };
  await provision(broker);
  const control = await startControlPlane({ broker, services: [runs] });
  const folders = runnerFolders();
  const passwordFile = join(scratchDir('credential'), 'password');
  writeFileSync(passwordFile, 'first\n');
  const runner = await startRunner({
    broker: { ...broker, user: runnerUser(AGENT), password: passwordOf(passwordFile) },
    folders,
    inboxPrefix: runnerInboxPrefix(AGENT),
  });
  const checks = async (): Promise<string> => JSON.stringify(await runner.board.report());
  const request = {
    ...script({ say: 'before' }, { shell: 'until [ -e go ]; do sleep 0.02; done' }, { say: 'after' }),
    workspace: 'credential',
  };
  const runId = await createRun(control.ports, { request, leaseMs: 60_000 });
  await reported(control.ports, runId, ({ name }) => name === 'tool-started');

  broker = await restartWith('second');
  writeFileSync(join(folders.workspaceRoot, 'credential', 'go'), '');
  await expect.poll(checks, { timeout: 30_000 }).toMatch(/[1-9]\d* waiting, 0 refused/);
  await expect
    .poll(checks, { timeout: 30_000 })
    .toMatch(/ports\.connection","ok":false,"detail":"[^"]*authorization/i);
  expect(runner.fatal).toEqual([]);

  writeFileSync(passwordFile, 'second\n');
  expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 1 });
  const reports = await reportsOf(control.ports, runId);
  expect(reports.map(({ name }) => name)).toEqual([
    'turn-started',
    'prompt-echoed',
    'text',
    'tool-started',
    'tool-finished',
    'text',
    'usage',
    'insight',
    'turn-finished',
  ]);
  expect(reports.map(({ sourceSeq }) => sourceSeq)).toEqual(reports.map((_, at) => at + 1));
  await runner.stop();
  await control.stop();
  await broker.broker.stop();
}, 120_000);
