// Agents that applied policies name and that nobody has made yet: they are made with the policies, so that a host can start their
// runners. What fails here stops nothing: the policy says by itself what its agent lacks, and is started again by hand.
import { toFault } from '#libs/kernel/fault.ts';
import { HOST_API } from '#streams/http/hosts.ts';
import { READ_API } from '#streams/http/reads.ts';
import { MOST_AGENTS_AT_ONCE } from '#streams/identity-requests.ts';
import type { Invocation } from './command.ts';
import type { PolicyChange } from './policy-diff.ts';

/** The agents of these changes that have no broker user yet, each once. */
export const newAgentsOf = (
  changes: readonly { readonly policy: string; readonly input: { readonly agent?: string | undefined } }[],
  known: readonly string[],
): readonly string[] => {
  const there = new Set(known);
  return [...new Set(changes.map(({ policy, input }) => input.agent ?? policy))].filter(
    (agent) => !there.has(agent),
  );
};

/** Told of by name; more are counted. */
const MOST_NAMED = 20;

type Call = Pick<Invocation, 'api' | 'context'>;

const addChunk = async ({ api, context: { terminal } }: Call, agents: readonly string[]): Promise<void> => {
  const first = agents.length === 1 ? `agent ${agents[0]} is` : `${agents.length} agents are`;
  try {
    const { path, answer } = HOST_API.addAgents;
    const made = await api.call({ method: 'POST', path, body: { agents } }, answer);
    const taken = made.agents.filter(({ outcome }) => outcome === 'taken');
    const added = made.agents.filter(({ outcome }) => outcome !== 'taken');
    for (const { agent } of taken)
      terminal.note(
        `agent ${agent} is not added: a host is called so; name another one in its policy (agent: NAME)`,
      );
    if (added.length > MOST_NAMED)
      terminal.note(`${added.length} agents are added, each with a broker user of its own`);
    else
      for (const { agent } of added) terminal.note(`agent ${agent} is added, with a broker user of its own`);
  } catch (error) {
    const { code, message } = toFault(error);
    terminal.note(
      `${first} not added (${code}: ${message}); until then the policies fail: fleetlog agent add ${agents[0]}, then fleetlog policy reset NAME`,
    );
  }
};

/** Makes them, many at once; says of each what became of it, beside the result. */
export const addNewAgents = async (call: Call, changes: readonly PolicyChange[]): Promise<void> => {
  if (changes.length === 0) return;
  const { path, answer } = READ_API.listRunners;
  const { agents } = await call.api.call({ path }, answer);
  const fresh = newAgentsOf(changes, agents);
  for (let at = 0; at < fresh.length; at += MOST_AGENTS_AT_ONCE)
    await addChunk(call, fresh.slice(at, at + MOST_AGENTS_AT_ONCE));
};
