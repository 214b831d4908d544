// Identity — gives new agents a user at the broker: asks whoever holds the secrets (given from outside) to make it, and lists the agent in
// the bucket `directory`, so that every service knows the name. Knows no password.
import type { ConfigSchema } from '#libs/config/schema.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import type { ServiceContext } from '#libs/service/context.ts';
import { defineService, type Service } from '#libs/service/define-service.ts';
import { ok, refused } from '#libs/service/request-answer.ts';
import { serveRequest } from '#libs/service/serve-request.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { viewKey } from '#streams/buckets.ts';
import { jsonBytes } from '#streams/entry.ts';
import { IDENTITY_REQUESTS, type DirectoryEntry } from '#streams/identity-requests.ts';
import { controlPlaneOf, requestFilter, type AgentPlace, type Boundary } from '#streams/subjects.ts';

/** What became of an agent. `taken`: a host has the name. */
export type AddedAgent = { readonly agent: string } & (
  | { readonly kind: 'added' | 'there'; readonly credential: string }
  | { readonly kind: 'taken' }
);

/** Makes secret, consumers and user of agents. Repeatable; calls at once are done one after another. */
export interface IdentityKeeper {
  /** One answer for each place, in order. */
  addAgents(places: readonly AgentPlace[]): Promise<readonly AddedAgent[]>;
}

/** The service, given how the keeper of the secrets is had from its settings. */
export const createIdentityService = <Config>(
  config: ConfigSchema<Config>,
  openKeeper: (context: ServiceContext<Config>) => IdentityKeeper,
): Service<Config> =>
  defineService<Config>({
    name: 'identity',
    config,
    requests: (context) => {
      const keeper = openKeeper(context);
      const directory = context.bucket('directory');
      const add = async (boundary: Boundary, agents: readonly string[], actor: string) => {
        const made = await keeper.addAgents(agents.map((agent) => ({ ...boundary, agent })));
        const listed = made.filter(({ kind }) => kind !== 'taken');
        await Promise.all(
          listed.map(({ agent }) => {
            const entry: DirectoryEntry = { agent, addedBy: actor, addedAt: context.clock.now() };
            return directory.put(viewKey(boundary, agent), jsonBytes(entry), { expectedRevision: 0 });
          }),
        );
        return made;
      };
      return [
        serveRequest({
          subject: requestFilter('identity', 'add-agent'),
          askerOf: controlPlaneOf,
          schema: IDENTITY_REQUESTS['add-agent'].request,
          handle: async (boundary, { agent, actor }) => {
            const [made] = await add(boundary, [agent], actor);
            if (made === undefined || made.kind === 'taken')
              return refused(
                rejection('AGENT_NAME_TAKEN', `a host is called ${agent}; an agent needs a name of its own`),
              );
            const { kind, credential } = made;
            return ok({ agent, user: runnerUser(agent), credential, repeated: kind === 'there' });
          },
        }),
        serveRequest({
          subject: requestFilter('identity', 'add-agents'),
          askerOf: controlPlaneOf,
          schema: IDENTITY_REQUESTS['add-agents'].request,
          handle: async (boundary, { agents, actor }) => {
            const made = await add(boundary, [...new Set(agents)], actor);
            return ok({
              agents: made.map((one) => ({
                agent: one.agent,
                outcome: one.kind,
                user: runnerUser(one.agent),
                credential: one.kind === 'taken' ? '' : one.credential,
              })),
            });
          },
        }),
      ];
    },
  });
