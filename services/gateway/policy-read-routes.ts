// Reading policies and the agents that they keep: lists by name, one of them, and what happened to it in plain sentences. From the
// summaries in memory, and for the history from the log. Changes nothing.
import { viewKey } from '#streams/buckets.ts';
import { POLICY_API } from '#streams/http/policies.ts';
import { nameSchema } from '#streams/ids.ts';
import { decodePolicyEvent } from '#streams/policy-codec.ts';
import type { ManagedAgentView, PolicyView } from '#streams/policy-views.ts';
import { policyWords } from '#streams/policy-words.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import { shows } from './catch-up.ts';
import {
  foreignBoundary,
  isRefused,
  refuse,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { parseInput } from './input.ts';
import { pageIn, type ListOrder } from './list-page.ts';

const NAME_ORDER: ListOrder<string> = { isBefore: (a, b) => a < b, format: (name) => name };

/** The summary of a policy. */
export const policyViewOf = ({ views, boundary }: GatewayParts, name: string): PolicyView | undefined => {
  const found = views.policies.get(viewKey(boundary, name));
  return found === undefined ? undefined : { seq: found.seq, ...found.state };
};
const agentOf = ({ views, boundary }: GatewayParts, name: string): ManagedAgentView | null => {
  const found = views.managedAgents.get(viewKey(boundary, name));
  return found === undefined ? null : { seq: found.seq, ...found.state };
};

/**
 * The policy as the summary shows it, at least as of `afterSeq`; what it does not show yet is looked up in the log before it is called
 * unknown. Faults: `VIEW_BEHIND` (later), the log's.
 */
const findPolicy = async (
  parts: GatewayParts,
  name: string,
  afterSeq?: number,
): Promise<PolicyView | Refused> => {
  const { views, boundary, transitions } = parts;
  const unknown = refuse('POLICY_UNKNOWN', `no policy ${name.slice(0, 100)} in this tenant and project`);
  if (!nameSchema.safeParse(name).success) return unknown;
  const key = viewKey(boundary, name);
  // The agent's value changes with each transition, that of the policy with each version only.
  await shows(parts, views.managedAgents, afterSeq, key);
  await shows(parts, views.policies, afterSeq);
  if (views.policies.get(key) === undefined) {
    const last = await transitions.last(aggregateSubject(boundary, 'policy', name));
    if (last === undefined) return unknown;
    await shows(parts, views.managedAgents, last.seq, key);
    await shows(parts, views.policies, 1, key);
  }
  return policyViewOf(parts, name) ?? unknown;
};

const list =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const query = parseInput(POLICY_API.listPolicies.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const prefix = viewKey(parts.boundary, '');
    const wanted: PolicyView[] = [];
    for (const [, { seq, state }] of parts.views.policies.list((key) => key.startsWith(prefix)))
      if (query.removed === 'true' || !state.isRemoved) wanted.push({ seq, ...state });
    const { limit, cursor: after } = query;
    const { items, next } = pageIn(NAME_ORDER, wanted, ({ policy }) => policy, { after, limit });
    return request.json({ policies: items, next });
  };

const listAgents =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const query = parseInput(POLICY_API.listManagedAgents.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const prefix = viewKey(parts.boundary, '');
    const { limit, cursor: after, state: states, host } = query;
    const wanted: ManagedAgentView[] = [];
    for (const [, { seq, state: one }] of parts.views.managedAgents.list((key) => key.startsWith(prefix))) {
      const isGone = one.desired === 'removed' && one.state === 'stopped';
      if (isGone || (states !== undefined && !states.includes(one.state))) continue;
      if (host === undefined || one.host === host) wanted.push({ seq, ...one });
    }
    const { items, next } = pageIn(NAME_ORDER, wanted, ({ policy }) => policy, { after, limit });
    return request.json({ agents: items, next, generatedAt: parts.clock.now() });
  };

const get =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(POLICY_API.getPolicy.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const name = request.req.param('id') ?? '';
    const policy = await findPolicy(parts, name, query.afterSeq);
    return isRefused(policy) ? policy : request.json({ policy, agent: agentOf(parts, name) });
  };

const explain =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(POLICY_API.explainPolicy.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const name = request.req.param('id') ?? '';
    const policy = await findPolicy(parts, name);
    if (isRefused(policy)) return policy;
    const events = [];
    let count = 0;
    for await (const entry of parts.transitions.read(aggregateSubject(parts.boundary, 'policy', name))) {
      const reading = decodePolicyEvent(entry);
      if (reading.kind !== 'known') continue;
      const { event, envelope } = reading;
      count += 1;
      events.push({
        seq: entry.seq,
        at: event.decidedAt,
        type: event.type,
        by: envelope.actor,
        text: policyWords(event),
      });
      if (events.length > query.limit) events.shift();
    }
    const agent = agentOf(parts, name);
    return request.json({ policy: name, agent, events, earlier: count - events.length });
  };

export const policyReadRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...POLICY_API.listPolicies, handle: list(parts) },
  { ...POLICY_API.getPolicy, handle: get(parts) },
  { ...POLICY_API.explainPolicy, handle: explain(parts) },
  { ...POLICY_API.listManagedAgents, handle: listAgents(parts) },
];
