// The folds of the lifecycle service as projections: bucket `policies` (configuration) and bucket `agents` (how each stands).
// What cannot be read is parked by the loop and skipped; what a newer version wrote is passed over.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { defineSummary } from '#libs/projections/summary.ts';
import { viewKey } from '#streams/buckets.ts';
import { foldedOf } from '#streams/entry.ts';
import { decodePolicyEvent } from '#streams/policy-codec.ts';
import { managedAgentSchema, policyViewSchema } from '#streams/policy-views.ts';
import { aggregateFilter } from '#streams/subjects.ts';
import { foldAgent, type AgentSummary } from './agent.view.ts';
import { foldPolicy, type PlacedPolicyEvent, type PolicySummary } from './policy.view.ts';

const decode = (entry: StoredEntry): PlacedPolicyEvent | undefined => {
  const reading = foldedOf(decodePolicyEvent(entry));
  const { tenant, project } = reading.place;
  return { boundary: { tenant, project }, seq: entry.seq, by: reading.envelope.actor, event: reading.event };
};

const source = {
  version: 1,
  stream: 'TRANSITIONS',
  subjects: [aggregateFilter('policy')],
  decode,
  key: ({ boundary, event }: PlacedPolicyEvent) => viewKey(boundary, event.policy),
} as const;

const policySchema = policyViewSchema.omit({ seq: true });
const agentSchema = managedAgentSchema.omit({ seq: true });

/** Bucket `policies`. */
export const policiesProjection = defineSummary<PlacedPolicyEvent, PolicySummary>({
  ...source,
  name: 'policies',
  bucket: 'policies',
  fold: foldPolicy,
  parse: (value) => policySchema.parse(value),
});

/** Bucket `agents`. */
export const agentsProjection = defineSummary<PlacedPolicyEvent, AgentSummary>({
  ...source,
  name: 'agents',
  version: 2,
  bucket: 'agents',
  fold: foldAgent,
  parse: (value) => agentSchema.parse(value),
});
