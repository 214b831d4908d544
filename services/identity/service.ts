// Identity — gives new agents a user at the broker: asks whoever holds the secrets (given from outside) to make it, and lists the agent in
// the bucket `directory`, so that every service knows the name. Knows no password.
import { rejection } from '#libs/kernel/rejection.ts';
import { defineService, type Service } from '#libs/service/define-service.ts';
import { ok, refused } from '#libs/service/request-answer.ts';
import { serveRequest } from '#libs/service/serve-request.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { viewKey } from '#streams/buckets.ts';
import { jsonBytes } from '#streams/entry.ts';
import { IDENTITY_REQUESTS, type DirectoryEntry } from '#streams/identity-requests.ts';
import { controlPlaneOf, requestFilter, type AgentPlace } from '#streams/subjects.ts';

/** Makes secret, consumers and user of an agent. One at a time; repeatable. */
export interface IdentityKeeper {
  /** `taken`: a host has the name. */
  addAgent(
    place: AgentPlace,
  ): Promise<{ readonly kind: 'added' | 'there'; readonly credential: string } | { readonly kind: 'taken' }>;
}

/** The service, given who keeps the secrets. */
export const createIdentityService = (keeper: IdentityKeeper): Service =>
  defineService({
    name: 'identity',
    requests: (context) => {
      const directory = context.bucket('directory');
      return [
        serveRequest({
          subject: requestFilter('identity', 'add-agent'),
          askerOf: controlPlaneOf,
          schema: IDENTITY_REQUESTS['add-agent'].request,
          handle: async (boundary, { agent, actor }) => {
            const made = await keeper.addAgent({ ...boundary, agent });
            if (made.kind === 'taken')
              return refused(
                rejection('AGENT_NAME_TAKEN', `a host is called ${agent}; an agent needs a name of its own`),
              );
            const entry: DirectoryEntry = { agent, addedBy: actor, addedAt: context.clock.now() };
            await directory.put(viewKey(boundary, agent), jsonBytes(entry), { expectedRevision: 0 });
            const { kind, credential } = made;
            return ok({ agent, user: runnerUser(agent), credential, repeated: kind === 'there' });
          },
        }),
      ];
    },
  });
