// Who must allow a call: how many different people, with which role, and who never counts. Pure. A question without needs is settled by
// the first answer of anybody; one with needs counts approvals of those who are known by a token of their own, and one rejection ends it.
import { reject } from '#libs/kernel/decider.ts';
import type { ApprovalNeeds, ApprovalRule } from '#streams/approvals.ts';
import type { CommandOf, OpenApproval, Run, RunDecision } from './run-state.policy.ts';

type Answer = CommandOf<'answer-approval'>;

/** The stricter of what the runner's settings and the request of the run ask for; undefined when neither asks for anything. */
export const needsOf = (run: Run, asked: ApprovalRule | undefined): ApprovalNeeds | undefined => {
  const rules = [asked, run.created.request.approvals].filter((rule) => rule !== undefined);
  const approvers = Math.max(1, ...rules.map((rule) => rule.approvers ?? 1));
  const roles = [...new Set(rules.flatMap(({ role }) => role ?? []))].toSorted();
  const fourEyes = rules.some((rule) => rule.fourEyes === true);
  if (approvers === 1 && roles.length === 0 && !fourEyes) return undefined;
  const { agent, startedBy } = run.created;
  // The agent that asks, whether by its runner or by a token of its own, and whoever started the run.
  const excluded = [`agent:${agent}`, `user:${agent}`, ...(startedBy === undefined ? [] : [startedBy])];
  return { approvers, roles, fourEyes, excluded: fourEyes ? [...new Set(excluded)] : [] };
};

/** Why an answer does not count; undefined when it does. A rejection counts from anybody: it can only stop something. */
export const notCounting = (
  { approvalId, needs, approvedBy }: OpenApproval,
  { decision, by, roles = [], isKnown = false }: Answer,
): RunDecision | undefined => {
  if (needs === undefined || decision === 'reject') return undefined;
  if (!isKnown)
    return reject(
      'APPROVAL_IDENTITY_NEEDED',
      `approval ${approvalId} counts only those who answer by a token of their own`,
    );
  if (needs.excluded.includes(by))
    return reject('APPROVAL_OWN_WORK', `${by} has asked for the work of approval ${approvalId} or does it`, {
      excluded: needs.excluded,
    });
  const missing = needs.roles.filter((role) => !roles.includes(role));
  if (missing.length > 0)
    return reject('APPROVAL_ROLE_MISSING', `approval ${approvalId} needs the role ${missing.join(', ')}`, {
      missing,
    });
  if (approvedBy.includes(by))
    return reject('APPROVAL_COUNTED', `${by} has approved ${approvalId} already; others are needed`, {
      approvedBy,
    });
  if (decision === 'edit' && needs.approvers > 1)
    return reject(
      'APPROVAL_NOT_EDITABLE',
      `approval ${approvalId} needs ${needs.approvers} people to allow the same call: approve it as it is, or reject it`,
    );
  return undefined;
};

/** How many approvals are missing after those given. */
export const stillNeeded = ({ needs, approvedBy }: Pick<OpenApproval, 'needs' | 'approvedBy'>): number =>
  Math.max(0, (needs?.approvers ?? 1) - approvedBy.length);
