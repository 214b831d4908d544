// Who may connect to the broker of a deployment: its agents and hosts, remembered beside the secrets, and the way of new agents:
// secret → consumers → user of the broker, which takes it up without a restart. Each step may be repeated.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { FleetAccount } from '#streams/accounts.ts';
import { accountsOf } from '#streams/accounts.ts';
import type { DeploymentShape } from '#streams/consumers.ts';
import { nameSchema } from '#streams/ids.ts';
import type { AgentPlace } from '#streams/subjects.ts';
import { writeBrokerUsers } from './broker-users.ts';
import type { AddedAgent, IdentityKeeper } from './identity/service.ts';
import { ensureSecrets, runnerFile, type SecretPlaces, type StackSecrets } from './stack-secrets.ts';

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

/** The secrets of all of them, made where they are missing, and the broker's files of users written anew. */
export const secretsOf = async (
  places: SecretPlaces,
  shape: Shape,
  known?: StackSecrets,
): Promise<StackSecrets> => {
  const agents = shape.agents.map(({ agent }) => agent);
  const hosts = shape.hosts.map(({ host }) => host);
  const secrets = await ensureSecrets(places, { agents, hosts }, known);
  await writeBrokerUsers(places.dir, accountsOf(shape, secrets), secrets);
  return secrets;
};

export interface KeeperParts {
  readonly places: SecretPlaces;
  readonly first: Shape;
  /** Makes the consumers of new agents. */
  readonly provision: (added: Pick<Shape, 'agents'>) => Promise<void>;
  /** Has the broker take up the accounts. */
  readonly reload: (accounts: readonly FleetAccount[]) => Promise<void>;
}

const outcomes = (
  places: SecretPlaces,
  agents: readonly string[],
  { isHost, isThere }: Readonly<Record<'isHost' | 'isThere', (name: string) => boolean>>,
): readonly AddedAgent[] =>
  agents.map((agent) => {
    if (isHost(agent)) return { agent, kind: 'taken' };
    const credential = join(places.credentialsDir, runnerFile(agent));
    return { agent, kind: isThere(agent) ? 'there' : 'added', credential };
  });

export const createIdentityKeeper = ({ places, first, provision, reload }: KeeperParts): IdentityKeeper => {
  let turn: Promise<unknown> = Promise.resolve();
  let known: StackSecrets | undefined;
  const add = async (asked: readonly AgentPlace[]): Promise<readonly AddedAgent[]> => {
    const before = await shapeOf(places.dir, first);
    const hosts = new Set(before.hosts.map(({ host }) => host));
    const there = new Set(before.agents.map(({ agent }) => agent));
    const firsts = new Set(first.agents.map(({ agent }) => agent));
    const made = asked.filter(({ agent }) => !hosts.has(agent));
    const fresh = made.filter(({ agent }) => !there.has(agent));
    if (fresh.length > 0) {
      const roster = before.agents.filter(({ agent }) => !firsts.has(agent));
      await writeRoster(places.dir, [...roster, ...fresh]);
    }
    // What is there may be half made: it is done again.
    const shape = await shapeOf(places.dir, first);
    known = await secretsOf(places, shape, known);
    await provision({ agents: made });
    await reload(accountsOf(shape, known));
    return outcomes(
      places,
      asked.map(({ agent }) => agent),
      { isHost: (name) => hosts.has(name), isThere: (name) => there.has(name) },
    );
  };
  return {
    addAgents: (asked) => {
      const mine = turn.then(() => add(asked));
      turn = mine.catch(() => undefined);
      return mine;
    },
  };
};
