// Whose conversation a session is: one rule for everybody who is asked to go on with it (the owner of sessions, of runs, of tasks, the gateway, the
// mail). It stands here because services import no other service, and two of them must not judge it differently. Pure.
import { rejection, type Rejection } from '#libs/kernel/rejection.ts';
import type { ProviderName } from './run.ts';

/** Whose a session is, from its first transition or its summary on: neither changes. */
export interface OwnedSession {
  readonly sessionId: string;
  readonly agent: string;
  readonly provider: ProviderName;
}

/** Who is to go on with it; what is not named is not judged. */
interface Newcomer {
  readonly agent?: string | null | undefined;
  readonly provider?: ProviderName | undefined;
}

/** Why the newcomer may not go on with this session; undefined when it may. Says nothing of another agent's session but that it is one. */
export const foreignToSession = (
  { sessionId, agent, provider }: OwnedSession,
  asked: Newcomer,
): Rejection<'SESSION_FOREIGN' | 'SESSION_OTHER_PROVIDER'> | undefined => {
  if ((asked.agent ?? agent) !== agent)
    return rejection('SESSION_FOREIGN', `session ${sessionId} is a conversation of another agent`, {
      sessionId,
    });
  if ((asked.provider ?? provider) === provider) return undefined;
  return rejection(
    'SESSION_OTHER_PROVIDER',
    `session ${sessionId} is of provider ${provider}, not ${asked.provider}`,
    { sessionId, existing: provider, requested: asked.provider },
  );
};

/** The refusal of whatever names a session that nobody knows. `hint`: what the asker may do about it. */
export const noSession = (sessionId: string, hint = ''): Rejection<'SESSION_UNKNOWN'> =>
  rejection('SESSION_UNKNOWN', `no session ${sessionId} in this tenant and project${hint}`, { sessionId });
