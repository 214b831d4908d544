// What people are asked: list, one, and the answer. Reads come from the summaries in memory; the owner of the run decides about answers.
// With an Idempotency-Key the same answer gives the first result again, at any later time and through any gateway.
import { viewKey, type ShownApproval } from '#streams/buckets.ts';
import { APPROVAL_API } from '#streams/http/approvals.ts';
import { approvalIdSchema } from '#streams/ids.ts';
import { catchUp, shows } from './catch-up.ts';
import { parseListCursor } from './cursor.ts';
import {
  foreignBoundary,
  isRefused,
  keyOf,
  refuse,
  speakerOf,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { parseInput, readBody } from './input.ts';

/** An approval and whose it is. */
type PlacedApproval = ShownApproval & {
  readonly runId: string;
  readonly sessionId: string;
  readonly agent: string | null;
  /** Of the run. */
  readonly title: string | null;
};

const linksOf = ({ approvalId, runId }: { readonly approvalId: string; readonly runId: string }) => ({
  self: `/api/v1/approvals/${approvalId}`,
  answer: `/api/v1/approvals/${approvalId}/answer`,
  run: `/api/v1/runs/${runId}`,
});

function* placed({ views }: GatewayParts, key: string): Generator<PlacedApproval> {
  const found = views.approvals.get(key);
  if (found === undefined) return;
  const { runId, sessionId, approvals } = found.state;
  const run = views.runs.get(key)?.state;
  const of = { runId, sessionId, agent: run?.agent ?? null, title: run?.title ?? null };
  for (const approval of approvals) yield { ...approval, ...of };
}

const listApprovals =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const query = parseInput(APPROVAL_API.listApprovals.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const after = query.cursor === undefined ? undefined : parseListCursor(query.cursor);
    const { views, boundary } = parts;
    views.approvals.settle();
    const key = query.run === undefined ? undefined : viewKey(boundary, query.run);
    const page = views.indexes.approvals.page({ state: query.state, key }, { after, limit: query.limit });
    const approvals = page.rows.flatMap((row) =>
      [...placed(parts, row.key)].filter(({ approvalId }) => approvalId === row.id),
    );
    return request.json({ approvals, next: page.next });
  };

const runKeyOf = ({ views }: GatewayParts, approvalId: string): string | undefined => {
  views.approvals.settle();
  return views.indexes.approvals.keyOf(approvalId);
};

/** What is not shown yet is waited for until the summary has caught up with the log, so an id that somebody was just told is found. */
const findApproval = async (
  parts: GatewayParts,
  approvalId: string,
  afterSeq?: number,
): Promise<PlacedApproval | Refused> => {
  const { views, boundary } = parts;
  const unknown = refuse(
    'APPROVAL_UNKNOWN',
    `no approval ${approvalId.slice(0, 100)} in this tenant and project`,
  );
  if (!approvalIdSchema.safeParse(approvalId).success) return unknown;
  if (runKeyOf(parts, approvalId) === undefined) await catchUp(parts, views.approvals);
  const key = runKeyOf(parts, approvalId);
  // What others have is unknown here, like what nobody has.
  if (key === undefined || !key.startsWith(viewKey(boundary, ''))) return unknown;
  await shows(parts, views.approvals, afterSeq, key);
  for (const approval of placed(parts, key)) if (approval.approvalId === approvalId) return approval;
  return unknown;
};

const getApproval =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(APPROVAL_API.getApproval.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const approval = await findApproval(parts, request.req.param('id') ?? '', query.afterSeq);
    return isRefused(approval) ? approval : request.json({ ...approval, links: linksOf(approval) });
  };

const answerApproval =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const key = keyOf(request);
    const input = await readBody(
      request.req.raw,
      APPROVAL_API.answerApproval.body,
      parts.config.maxBodyBytes,
    );
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const approval = await findApproval(parts, request.req.param('id') ?? '');
    if (isRefused(approval)) return approval;
    const { runId, approvalId } = approval;
    const { tenant: _tenant, project: _project, by, ...said } = input;
    // Keys of the caller and ids made here never meet.
    const answerId = key === undefined ? `made.${parts.ids.ulid()}` : `key.${key}`;
    const { name, isNamed, roles } = request.get('identity');
    const speaker = speakerOf(request, by);
    // Roles are of whoever's token it is: nobody lends them to somebody else.
    const known = { isKnown: isNamed, roles: speaker === name ? [...roles] : [] };
    const asked = { ...said, ...known, runId, approvalId, answerId, actor: `user:${speaker}` };
    const answer = await parts.runsClient.ask('answer-approval', asked);
    if (answer.kind === 'refused') return { refused: answer.rejection };
    return request.json({ ...answer.result, links: linksOf(approval) }, 202);
  };

export const approvalRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...APPROVAL_API.listApprovals, handle: listApprovals(parts) },
  { ...APPROVAL_API.getApproval, handle: getApproval(parts) },
  { ...APPROVAL_API.answerApproval, handle: answerApproval(parts) },
];
