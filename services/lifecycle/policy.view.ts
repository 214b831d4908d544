// The configuration of a policy and its versions, as a fold (bucket `policies`). Pure and total over every released event. What is not
// about the configuration gives the view itself, so that a value of the bucket is a version.
import { KEPT_VERSIONS, type PolicyView } from '#streams/policy-views.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import type { Boundary } from '#streams/subjects.ts';

/** The value of the bucket without its stamp. */
export type PolicySummary = Omit<PolicyView, 'seq'>;

/** An event, whose it is, who caused it and where it stands. */
export interface PlacedPolicyEvent {
  readonly boundary: Boundary;
  readonly seq: number;
  readonly by: string;
  readonly event: PolicyEvent;
}

/** The view after one more event; undefined while the policy was not applied. */
export const foldPolicy = (
  view: PolicySummary | undefined,
  placed: PlacedPolicyEvent,
): PolicySummary | undefined => {
  const { boundary, seq, by, event } = placed;
  if (event.type === 'fleetlog.policy.applied.v1') {
    const { policy, version, config, changed, rolledBackTo, note, decidedAt: at } = event;
    const entry = { version, config, changed, rolledBackTo, note, by, at, seq };
    return {
      tenant: boundary.tenant,
      project: boundary.project,
      policy,
      version,
      isRemoved: false,
      config,
      versions: [...(view?.versions ?? []), entry].slice(-KEPT_VERSIONS),
      createdAt: view?.createdAt ?? at,
      updatedAt: at,
    };
  }
  if (view === undefined || event.type !== 'fleetlog.policy.removed.v1') return view;
  const { version, reason, decidedAt: at } = event;
  const entry = { version, config: null, changed: [], rolledBackTo: null, note: reason, by, at, seq };
  return {
    ...view,
    version: 0,
    isRemoved: true,
    versions: [...view.versions, entry].slice(-KEPT_VERSIONS),
    updatedAt: at,
  };
};
