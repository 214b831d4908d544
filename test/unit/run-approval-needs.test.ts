// Calls that several people, a role or four eyes must allow: given–when–then, and laws under any answers.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { foldApprovals, type ApprovalsSummary } from '#services/runs/approvals.view.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import type { ApprovalNeeds, ApprovalRule } from '#streams/approvals.ts';
import type { RunEvent } from '#streams/run.ts';
import {
  answer,
  answered,
  approvalA,
  ask,
  asked,
  DIGEST,
  expireApproval,
  WAIT_MS,
} from '#test/support/approval-history.ts';
import { given as givenHistory } from '#test/support/given.ts';
import {
  claimed,
  created,
  createData,
  given,
  NOW,
  runId,
  sessionId,
  started,
} from '#test/support/run-history.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const two: ApprovalNeeds = { approvers: 2, roles: [], fourEyes: false, excluded: [] };
const withNeeds = (needs: ApprovalNeeds): RunEvent => ({ ...asked('held'), needs }) as RunEvent;
const history = (needs: ApprovalNeeds): RunEvent[] => [created(), claimed(), started(), withNeeds(needs)];
const counted = (by: string, stillNeeded = 1): RunEvent => ({
  type: 'fleetlog.run.approval-counted.v1',
  runId,
  sessionId,
  fence: 1,
  approvalId: approvalA,
  callId: 'toolu_1',
  digest: DIGEST,
  by,
  stillNeeded,
  countedAt: NOW,
});
const yes = (by: string, more: Parameters<typeof answer>[0] = {}) => answer({ by, isKnown: true, ...more });

describe('a question', () => {
  const askedWith = (rule: ApprovalRule | undefined, ofRun?: ApprovalRule): ApprovalNeeds | undefined => {
    const start = createData({ startedBy: 'user:anna' });
    const data = {
      ...start,
      request: { ...start.request, ...(ofRun !== undefined && { approvals: ofRun }) },
    };
    const first: RunEvent = { ...data, type: 'fleetlog.run.created.v1', createdAt: NOW };
    const state = fold(runDecider, [first, claimed(), started()]);
    const decision = runDecider.decide(ask('held', rule === undefined ? {} : { rule }), state, { now: NOW });
    expect(decision.kind).toBe('accepted');
    const event = decision.kind === 'accepted' ? decision.event : undefined;
    expect(event).not.toHaveProperty('rule');
    return event?.type === 'fleetlog.run.approval-asked.v1' ? event.needs : undefined;
  };

  test('needs nothing of anybody unless settings or request say so, and the stricter of both', () => {
    expect(askedWith(undefined)).toBeUndefined();
    expect(askedWith({ approvers: 1, fourEyes: false })).toBeUndefined();
    expect(askedWith({ approvers: 3 }, { approvers: 2 })?.approvers).toBe(3);
    expect(askedWith({ role: 'release' }, { role: 'security' })?.roles).toEqual(['release', 'security']);
    expect(askedWith({ approvers: 2 }, { fourEyes: true })).toEqual({
      approvers: 2,
      roles: [],
      fourEyes: true,
      excluded: ['agent:builder-1', 'user:builder-1', 'user:anna'],
    });
  });
});

describe('an approval', () => {
  test('of two that are needed is counted, and the second settles the call', () => {
    given(...history(two))
      .when(yes('user:anna'))
      .then(counted('user:anna'));
    given(...history(two), counted('user:anna'))
      .when(yes('user:ben'))
      .then(answered({ by: 'user:ben', approvedBy: ['user:anna', 'user:ben'] }));
  });
  test('of the same person counts once', () => {
    given(...history(two), counted('user:anna'))
      .when(yes('user:anna'))
      .thenRejected('APPROVAL_COUNTED');
  });
  test('counts only with the role that is needed', () => {
    const needs = { ...two, approvers: 1, roles: ['release'] };
    given(...history(needs))
      .when(yes('user:anna'))
      .thenRejected('APPROVAL_ROLE_MISSING');
    given(...history(needs))
      .when(yes('user:anna', { roles: ['release'] }))
      .then(answered({ approvedBy: ['user:anna'] }));
  });
  test('by four eyes is not that of whoever started the run or does it', () => {
    const needs = { ...two, approvers: 1, fourEyes: true, excluded: ['user:anna', 'user:builder-1'] };
    for (const by of needs.excluded)
      given(...history(needs))
        .when(yes(by))
        .thenRejected('APPROVAL_OWN_WORK');
    given(...history(needs))
      .when(yes('user:ben'))
      .then(answered({ by: 'user:ben', approvedBy: ['user:ben'] }));
  });
  test('by a token that anybody may hold does not count', () => {
    given(...history(two))
      .when(answer())
      .thenRejected('APPROVAL_IDENTITY_NEEDED');
  });
  test('cannot be of another input where several must allow the same call', () => {
    given(...history(two))
      .when(yes('user:anna', { decision: 'edit', input: {} }))
      .thenRejected('APPROVAL_NOT_EDITABLE');
    given(...history({ ...two, approvers: 1, roles: ['release'] }))
      .when(yes('user:anna', { decision: 'edit', input: {}, roles: ['release'] }))
      .then(answered({ decision: 'edit', input: {}, approvedBy: ['user:anna'] }));
  });
});

test('one rejection ends it, whoever says so and however many have approved', () => {
  given(...history({ ...two, excluded: ['user:anna'] }), counted('user:ben'))
    .when(answer({ decision: 'reject' }))
    .then(answered({ decision: 'reject', approvedBy: ['user:ben'] }));
});

test('time over is a refusal, however many have approved', () => {
  givenHistory(runDecider, ...history(two), counted('user:anna'))
    .when(expireApproval, { now: NOW + WAIT_MS })
    .then(
      answered({
        decision: 'expired',
        by: 'service:runs',
        message: 'nobody answered in time, so it is not allowed',
        answeredAt: NOW + WAIT_MS,
      }),
    );
});

const NAMES = ['user:anna', 'user:ben', 'user:cleo', 'user:builder-1'];
test('laws: allowed only by enough different people who count; the first rejection wins; the summary tells who is missing', () => {
  const answerArb = fc.record({
    by: fc.constantFrom(...NAMES),
    decision: fc.constantFrom('approve' as const, 'approve' as const, 'reject' as const),
    isKnown: fc.boolean(),
    roles: fc.subarray(['release', 'security']),
  });
  const needsArb = fc.record({
    approvers: fc.integer({ min: 1, max: 3 }),
    roles: fc.subarray(['release', 'security']),
    fourEyes: fc.boolean(),
    excluded: fc.subarray(NAMES),
  });
  fc.assert(
    fc.property(needsArb, fc.array(answerArb, { maxLength: 15 }), (needs, answers) => {
      const events = history(needs);
      const counting = new Set<string>();
      let end: string | undefined;
      for (const one of answers) {
        const decision = runDecider.decide(answer(one), fold(runDecider, events), { now: NOW });
        if (decision.kind === 'accepted') events.push(decision.event);
        if (end !== undefined) {
          expect(decision.kind).toBe('rejected');
          continue;
        }
        const counts =
          one.isKnown &&
          !needs.excluded.includes(one.by) &&
          needs.roles.every((role) => one.roles.includes(role));
        if (one.decision === 'reject') end = 'reject';
        else if (counts) {
          counting.add(one.by);
          if (counting.size === needs.approvers) end = 'approve';
        }
        let view: ApprovalsSummary | undefined;
        for (const event of events)
          view = foldApprovals(view, { boundary: { tenant: 'local', project: 'main' }, event });
        expect(view?.approvals[0]).toMatchObject({
          state: end ?? 'open',
          approvedBy: [...counting],
          stillNeeded: end === undefined ? needs.approvers - counting.size : 0,
        });
      }
      const settled = events.filter((event) => event.type === 'fleetlog.run.approval-answered.v1');
      expect(settled.map(({ decision }) => decision)).toEqual(end === undefined ? [] : [end]);
    }),
    propertyRuns(300),
  );
});
