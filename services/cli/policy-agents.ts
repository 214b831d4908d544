// Agents that applied policies name and that nobody has made yet: they are made with the policies, so that a host can start their
// runners. What fails here stops nothing: the policy says by itself what its agent lacks, and is started again by hand.
import { toFault } from '#libs/kernel/fault.ts';
import { HOST_API } from '#streams/http/hosts.ts';
import { READ_API } from '#streams/http/reads.ts';
import type { Invocation } from './command.ts';
import type { PolicyChange } from './policy-diff.ts';

/** The agents of these changes that have no broker user yet, each once. */
export const newAgentsOf = (
  changes: readonly { readonly policy: string; readonly input: { readonly agent?: string | undefined } }[],
  known: readonly string[],
): readonly string[] =>
  [...new Set(changes.map(({ policy, input }) => input.agent ?? policy))].filter(
    (agent) => !known.includes(agent),
  );

/** Makes them; says of each what became of it, beside the result. */
export const addNewAgents = async (
  { api, context: { terminal } }: Invocation,
  changes: readonly PolicyChange[],
): Promise<void> => {
  if (changes.length === 0) return;
  const { agents } = await api.call({ path: READ_API.listRunners.path }, READ_API.listRunners.answer);
  for (const agent of newAgentsOf(changes, agents)) {
    try {
      await api.call(
        { method: 'POST', path: HOST_API.addAgent.path, body: { agent } },
        HOST_API.addAgent.answer,
      );
      terminal.note(`agent ${agent} is added, with a broker user of its own`);
    } catch (error) {
      const { code, message } = toFault(error);
      terminal.note(
        `agent ${agent} is not added (${code}: ${message}); until it is, its policy fails: fleetlog agent add ${agent}, then fleetlog policy reset NAME`,
      );
    }
  }
};
