// Who may connect to the broker of a stack on this machine: its agents and hosts, remembered beside the secrets, and the way of a new
// agent: secret → consumers → user of the broker, which takes it up without a restart. Each step may be repeated.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { FleetAccount } from '#streams/accounts.ts';
import { accountsOf } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import type { DeploymentShape } from '#streams/consumers.ts';
import { nameSchema } from '#streams/ids.ts';
import type { AgentPlace } from '#streams/subjects.ts';
import type { IdentityKeeper } from './identity/service.ts';
import { ensureSecrets, type StackSecrets } from './stack-secrets.ts';

const rosterSchema = z.array(z.object({ tenant: nameSchema, project: nameSchema, agent: nameSchema }));

const ROSTER = 'agents.json';

export type Shape = Required<Pick<DeploymentShape, 'agents' | 'hosts'>>;

/** The agents that were added to a deployment, besides those that it begins with. */
const readRoster = async (dir: string): Promise<readonly AgentPlace[]> => {
  try {
    return rosterSchema.parse(JSON.parse(await readFile(join(dir, ROSTER), 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
};

const writeRoster = async (dir: string, agents: readonly AgentPlace[]): Promise<void> => {
  const path = join(dir, ROSTER);
  await writeFile(`${path}.new`, `${JSON.stringify(agents, undefined, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
};

/** What a deployment is made of, with the agents that were added. */
export const shapeOf = async (secretsDir: string, first: Shape): Promise<Shape> => {
  const added = await readRoster(secretsDir);
  const isFirst = (agent: string): boolean => first.agents.some((one) => one.agent === agent);
  return { ...first, agents: [...first.agents, ...added.filter(({ agent }) => !isFirst(agent))] };
};

export const secretsOf = (dir: string, { agents, hosts }: Shape): Promise<StackSecrets> =>
  ensureSecrets(
    dir,
    agents.map(({ agent }) => agent),
    hosts.map(({ host }) => host),
  );

export interface KeeperParts {
  readonly secretsDir: string;
  readonly first: Shape;
  /** Brings consumers to what is declared. */
  readonly provision: (shape: Shape) => Promise<void>;
  /** Has the broker take up the accounts. */
  readonly reload: (accounts: readonly FleetAccount[]) => Promise<void>;
}

export const createIdentityKeeper = ({
  secretsDir,
  first,
  provision,
  reload,
}: KeeperParts): IdentityKeeper => {
  let turn: Promise<unknown> = Promise.resolve();
  const add: IdentityKeeper['addAgent'] = async (place) => {
    const before = await shapeOf(secretsDir, first);
    const { agent } = place;
    if (before.hosts.some(({ host }) => host === agent)) return { kind: 'taken' };
    const isThere = before.agents.some((one) => one.agent === agent);
    if (!isThere) {
      const firsts = new Set(first.agents.map((one) => one.agent));
      await writeRoster(secretsDir, [...before.agents.filter((one) => !firsts.has(one.agent)), place]);
    }
    // What is there may be half made: everything is done again.
    const shape = await shapeOf(secretsDir, first);
    const secrets = await secretsOf(secretsDir, shape);
    await provision(shape);
    await reload(accountsOf(shape, secrets));
    const credential = join(secretsDir, `${runnerUser(agent)}-password`);
    return { kind: isThere ? 'there' : 'added', credential };
  };
  return {
    addAgent: (place) => {
      const mine = turn.then(() => add(place));
      turn = mine.catch(() => undefined);
      return mine;
    },
  };
};
