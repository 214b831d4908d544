// Which run each approval belongs to, kept beside the view of approvals: an approval is found by its id without looking through runs.
import type { ReadView } from '#libs/projections/read-view.ts';
import type { ApprovalsView } from '#streams/buckets.ts';

export interface ApprovalIndex {
  /** The key of its run in the bucket `approvals`; undefined: not shown, or settled long ago. */
  keyOf(approvalId: string): string | undefined;
}

/** Follows the view from now on: make it together with the view. */
export const createApprovalIndex = (
  view: Pick<ReadView<Omit<ApprovalsView, 'seq'>>, 'subscribe'>,
): ApprovalIndex => {
  const keys = new Map<string, string>();
  const idsOf = new Map<string, readonly string[]>();
  view.subscribe((key, value) => {
    for (const approvalId of idsOf.get(key) ?? []) keys.delete(approvalId);
    idsOf.delete(key);
    if (value === undefined) return;
    const ids = value.state.approvals.map(({ approvalId }) => approvalId);
    for (const approvalId of ids) keys.set(approvalId, key);
    idsOf.set(key, ids);
  });
  return { keyOf: (approvalId) => keys.get(approvalId) };
};
