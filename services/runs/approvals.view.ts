// What people were asked in a run, as a fold of its transitions (bucket `approvals`). Pure and total over every released event. A run that never
// asked has no value. Bounded: all that are open, and the last ones that are not, their inputs only while small. Nothing is decided from it.
import type { ApprovalsView, ShownApproval } from '#streams/buckets.ts';
import type { RunEvent } from '#streams/run.ts';
import type { PlacedRunEvent } from './run.view.ts';

/** The value of the bucket without its stamp. */
export type ApprovalsSummary = Omit<ApprovalsView, 'seq'>;

/** Settled approvals that are kept. */
const KEPT = 20;
/** An input of a settled approval that is kept, in characters of JSON. */
const KEPT_INPUT_CHARACTERS = 2048;

type Asked = Extract<RunEvent, { readonly type: 'fleetlog.run.approval-asked.v1' }>;

const shownOf = ({
  type: _type,
  runId: _run,
  sessionId: _session,
  approvalsClosed: _closed,
  needs,
  ...asked
}: Asked): ShownApproval => ({
  ...asked,
  state: 'open',
  by: null,
  message: null,
  settledAt: null,
  needs: needs ?? null,
  approvedBy: [],
  stillNeeded: needs?.approvers ?? 1,
});

const settled = (
  approval: ShownApproval,
  how: Pick<ShownApproval, 'state' | 'by' | 'message' | 'settledAt'> &
    Partial<Pick<ShownApproval, 'approvedBy'>>,
): ShownApproval => {
  const size = JSON.stringify(approval.input)?.length ?? 0;
  const isSmall = size <= KEPT_INPUT_CHARACTERS;
  return {
    ...approval,
    ...how,
    stillNeeded: 0,
    ...(!isSmall && { input: null, inputCutBytes: approval.inputCutBytes + size }),
  };
};

const bounded = (approvals: readonly ShownApproval[]): ShownApproval[] => {
  const surplus = approvals.filter(({ state }) => state !== 'open').length - KEPT;
  let dropped = 0;
  return approvals.filter(({ state }) => state === 'open' || (dropped += 1) > surplus);
};

/** When an event happened that closes questions by the way. */
const timeOf = (event: RunEvent): number => {
  if ('endedAt' in event) return event.endedAt;
  if (event.type === 'fleetlog.run.lease-expired.v1') return event.expiredAt;
  if (event.type === 'fleetlog.run.cancel-requested.v1') return event.requestedAt;
  return event.type === 'fleetlog.run.approval-asked.v1' ? event.askedAt : 0;
};

const closedBy = (approvals: readonly ShownApproval[], event: RunEvent): readonly ShownApproval[] => {
  const ids = 'approvalsClosed' in event ? (event.approvalsClosed ?? []) : [];
  if (ids.length === 0) return approvals;
  const how = { state: 'closed', by: 'service:runs', message: null, settledAt: timeOf(event) } as const;
  return approvals.map((approval) => (ids.includes(approval.approvalId) ? settled(approval, how) : approval));
};

const after = (approvals: readonly ShownApproval[], event: RunEvent): readonly ShownApproval[] => {
  if (event.type === 'fleetlog.run.approval-answered.v1') {
    const { approvalId, decision, by, message, answeredAt, approvedBy } = event;
    const how = {
      state: decision,
      by,
      message: message ?? null,
      settledAt: answeredAt,
      ...(approvedBy !== undefined && { approvedBy }),
    };
    return approvals.map((approval) =>
      approval.approvalId === approvalId ? settled(approval, how) : approval,
    );
  }
  if (event.type === 'fleetlog.run.approval-counted.v1') {
    const { approvalId, by, stillNeeded } = event;
    return approvals.map((approval) =>
      approval.approvalId === approvalId
        ? { ...approval, approvedBy: [...approval.approvedBy, by], stillNeeded }
        : approval,
    );
  }
  const left = closedBy(approvals, event);
  return event.type === 'fleetlog.run.approval-asked.v1' ? [...left, shownOf(event)] : left;
};

/** Whether an event may change what people were asked: of the others nothing needs to be looked up. */
export const concernsApprovals = (event: RunEvent): boolean =>
  event.type.startsWith('fleetlog.run.approval-') ||
  ('approvalsClosed' in event && (event.approvalsClosed ?? []).length > 0);

/** The summary after one more event; the same object when it changes nothing. */
export const foldApprovals = (
  view: ApprovalsSummary | undefined,
  { boundary, event }: PlacedRunEvent,
): ApprovalsSummary | undefined => {
  const before = view?.approvals ?? [];
  const approvals = after(before, event);
  if (approvals === before) return view;
  const { runId, sessionId } = event;
  const { tenant, project } = boundary;
  return { ...(view ?? { tenant, project, runId, sessionId }), approvals: bounded(approvals) };
};
