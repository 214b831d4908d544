// The HTTP API about approvals: what people are asked, and the answer.
import { z } from 'zod';
import { answerSchema } from '#streams/approvals.ts';
import { APPROVAL_STATES, shownApprovalSchema } from '#streams/buckets.ts';
import { approvalIdSchema, nameSchema, runIdSchema } from '#streams/ids.ts';
import { answerMistake, approvalAnswerShape } from '#streams/run-requests.ts';
import {
  boundaryShape,
  cursorQuery,
  linksAnswer,
  listLimit,
  nextAnswer,
  oneOrMore,
  oneQuery,
  seqAnswer,
  type ApiTable,
} from './route.ts';

const answerApprovalSchema = z
  .strictObject({
    ...boundaryShape,
    ...approvalAnswerShape,
    /** Who answers, for the record: only a token that may speak for others can say it. */
    by: nameSchema.optional(),
  })
  .superRefine((answer, context) => {
    const message = answerMistake(answer);
    if (message !== undefined) context.addIssue({ code: 'custom', path: ['input'], message });
  });

const placed = shownApprovalSchema.extend({
  runId: z.string(),
  sessionId: z.string(),
  agent: z.string().nullable(),
  /** Of the run. */
  title: z.string().nullable(),
});
const links = linksAnswer('self', 'answer', 'run');

export const APPROVAL_API = {
  listApprovals: {
    method: 'GET',
    path: '/api/v1/approvals',
    means: 'List what people are asked, newest first; `state=open` waits for an answer.',
    query: z.strictObject({
      ...boundaryShape,
      state: oneOrMore(APPROVAL_STATES).optional(),
      run: runIdSchema.optional(),
      cursor: cursorQuery.optional(),
      limit: listLimit,
    }),
    status: 200,
    answer: z.object({ approvals: z.array(placed.meta({ id: 'Approval' })), next: nextAnswer }),
  },
  getApproval: {
    method: 'GET',
    path: '/api/v1/approvals/:id',
    means: 'One approval: the exact call, its digest, and what became of it.',
    query: oneQuery,
    status: 200,
    answer: placed.extend({ links }).meta({ id: 'ShownApproval' }),
  },
  answerApproval: {
    method: 'POST',
    path: '/api/v1/approvals/:id/answer',
    means:
      'Answer: approve, reject, or edit with another input. The first answer counts. With the digest of the call that was looked at, an answer to another call is refused.',
    body: answerApprovalSchema,
    status: 202,
    answer: z.object({
      runId: runIdSchema,
      approvalId: approvalIdSchema,
      seq: seqAnswer,
      decision: answerSchema,
      repeated: z.boolean(),
      /** Approvals that are missing after this one; 0: it is settled. */
      stillNeeded: z.int().nonnegative(),
      links,
    }),
  },
} as const satisfies ApiTable;
