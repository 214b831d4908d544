// What people were asked, as a fold of a run's transitions: bounded, and closed by whatever ends a claim or the run.
import { expect, test } from 'vitest';
import { concernsApprovals, foldApprovals, type ApprovalsSummary } from '#services/runs/approvals.view.ts';
import { approvalsViewSchema } from '#streams/buckets.ts';
import type { RunEvent } from '#streams/run.ts';
import { answered, approvalA, approvalB, asked } from '#test/support/approval-history.ts';
import { cancelRequested, claimed, completed, created, NOW, started } from '#test/support/run-history.ts';

const boundary = { tenant: 'local', project: 'main' };
const folded = (...events: readonly RunEvent[]): ApprovalsSummary | undefined => {
  let view: ApprovalsSummary | undefined;
  for (const event of events) {
    const next = foldApprovals(view, { boundary, event });
    // What is said to be of no concern is never looked up.
    if (!concernsApprovals(event)) expect(next).toBe(view);
    view = next;
  }
  return view;
};
const idOf = (at: number): string => `apr_01HF3Z0000000000000000${String(at).padStart(4, '0')}`;

test('a run that never asked has no value', () => {
  expect(folded(created(), claimed(), started(), completed)).toBeUndefined();
});

test('an approval is open until it is answered, and says by whom', () => {
  const open = folded(created(), claimed(), asked('held'));
  expect(approvalsViewSchema.parse({ ...open, seq: 3 })).toMatchObject({
    approvals: [
      { approvalId: approvalA, state: 'open', by: null, settledAt: null, turnId: expect.any(String) },
    ],
  });
  const view = folded(created(), claimed(), asked('held'), answered({ decision: 'reject', message: 'no' }));
  expect(view?.approvals).toMatchObject([
    { state: 'reject', by: 'user:anna', message: 'no', settledAt: NOW },
  ]);
});

test('what ends the claim or the run closes what is open, and nothing else', () => {
  const both = [created(), claimed(), asked('held'), answered(), asked('held', { approvalId: approvalB })];
  const ending: RunEvent = { ...cancelRequested, approvalsClosed: [approvalB] } as RunEvent;
  expect(folded(...both, ending)?.approvals.map(({ state }) => state)).toEqual(['approve', 'closed']);
});

test('of settled approvals the last twenty are kept, with their inputs while they are small; open ones are all kept', () => {
  const large = { command: 'x'.repeat(5000) };
  const events = Array.from({ length: 30 }, (_, at) => [
    asked('held', { approvalId: idOf(at), input: at === 29 ? large : { command: 'y' } }),
    answered({ approvalId: idOf(at) }),
  ]).flat();
  const open = asked('held', { approvalId: approvalB, input: large });
  const approvals = folded(created(), claimed(), open, ...events)?.approvals ?? [];
  expect(approvals).toHaveLength(21);
  expect(approvals[0]).toMatchObject({ approvalId: approvalB, state: 'open', input: large });
  expect(approvals[1]).toMatchObject({ approvalId: idOf(10), input: { command: 'y' } });
  expect(approvals.at(-1)).toMatchObject({
    approvalId: idOf(29),
    input: null,
    inputCutBytes: JSON.stringify(large).length,
  });
});
