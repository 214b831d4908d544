// The users of the broker as the files that streams/nats.conf includes: passwords of the control plane as variables, and the account of
// runners and hosts whole. Each is replaced at once, so that a server that starts or reloads meanwhile reads one or the other.
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderAccountFile } from '#libs/broker/broker-config.ts';
import type { FleetAccount } from '#streams/accounts.ts';
import { RUNNERS_ACCOUNT } from '#streams/accounts.ts';
import type { StackSecrets } from './stack-secrets.ts';

const replaceFile = async (path: string, text: string): Promise<void> => {
  await writeFile(`${path}.new`, text, { mode: 0o600, flush: true });
  await rename(`${path}.new`, path);
};

/** Writes `passwords.conf` and `runners.conf`. */
export const writeBrokerUsers = async (
  dir: string,
  accounts: readonly FleetAccount[],
  { controlPassword, viewerPassword, systemPassword }: StackSecrets,
): Promise<void> => {
  const variables = {
    FLEETLOG_CONTROL_PASSWORD: controlPassword,
    FLEETLOG_SYSTEM_PASSWORD: systemPassword,
    FLEETLOG_VIEWER_PASSWORD: viewerPassword,
  };
  const lines = Object.entries(variables).map(([name, value]) => `${name}: "${value}"`);
  await replaceFile(join(dir, 'passwords.conf'), `${lines.join('\n')}\n`);
  for (const account of accounts)
    if (account.name === RUNNERS_ACCOUNT)
      await replaceFile(join(dir, 'runners.conf'), renderAccountFile(account));
};
