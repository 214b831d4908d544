// Policies over HTTP: applied, rolled back, removed, and what people ask of their agents; what is read is in policy-read-routes.ts. The owner decides; the gateway checks
// the input and passes the answer on. What is written with an Idempotency-Key is one request however often it is sent.
import { createHash } from 'node:crypto';
import type { Answer } from '#libs/service/request-answer.ts';
import { POLICY_API } from '#streams/http/policies.ts';
import { nameSchema } from '#streams/ids.ts';
import { configOf, type PolicyConfig, type PolicyInput } from '#streams/policy-config.ts';
import { changedFields } from '#streams/policy-diff.ts';
import type { PolicyResultOf } from '#streams/policy-requests.ts';
import type { PolicyView } from '#streams/policy-views.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import {
  actorOf,
  foreignBoundary,
  isRefused,
  keyOf,
  refuse,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { readBody } from './input.ts';
import { policyViewOf } from './policy-read-routes.ts';

/** What a client repeats under one key is one request. */
const requestIdOf = ({ ids }: GatewayParts, request: GatewayRequest): string => {
  const key = keyOf(request);
  return key === undefined ? ids.ulid() : createHash('sha256').update(key).digest('hex').slice(0, 32);
};

type Applied = (typeof POLICY_API.applyPolicies.answer)['_output']['policies'][number];
type Moved = Answer<PolicyResultOf<'start'>, RejectionCode>;

/** Asked of the owner at once, for policies do not depend on one another. */
const AT_ONCE = 16;

const inBatches = async <Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> => {
  const results: Result[] = [];
  for (let at = 0; at < items.length; at += AT_ONCE)
    results.push(...(await Promise.all(items.slice(at, at + AT_ONCE).map(work))));
  return results;
};

interface Writing {
  readonly name: string;
  readonly config: PolicyConfig;
  readonly before: PolicyView | undefined;
  readonly changed: readonly string[];
  readonly expectedVersion: number | null;
}

const writingOf = (
  parts: GatewayParts,
  [name, input]: readonly [string, PolicyInput],
  expected: Readonly<Record<string, number>> = {},
): Writing => {
  const before = policyViewOf(parts, name);
  const config = configOf(name, input);
  const changed = changedFields(before?.isRemoved === false ? before.config : undefined, config);
  return { name, config, before, changed, expectedVersion: expected[name] ?? null };
};

const looked = ({ name, before, changed, expectedVersion }: Writing): Applied => {
  const version = before?.version ?? 0;
  const isStale = expectedVersion !== null && expectedVersion !== version;
  const base = { policy: name, version, seq: null, changed: [...changed] };
  if (changed.length === 0) return { ...base, outcome: 'unchanged', refusal: null };
  if (!isStale) return { ...base, outcome: 'would-apply', refusal: null };
  const message = `the policy is at version ${version}, not ${expectedVersion}`;
  return { ...base, outcome: 'refused', refusal: { code: 'POLICY_VERSION_CONFLICT', message } };
};

const appliedOf = ({ name, before, changed }: Writing, answer: Moved): Applied => {
  if (answer.kind === 'refused') {
    const { code, message } = answer.rejection;
    const refusal = { code, message };
    return {
      policy: name,
      outcome: 'refused',
      version: before?.version ?? 0,
      seq: null,
      changed: [...changed],
      refusal,
    };
  }
  const { version, seq, unchanged } = answer.result;
  return {
    policy: name,
    outcome: unchanged ? 'unchanged' : 'applied',
    version,
    seq,
    changed: unchanged ? [] : [...changed],
    refusal: null,
  };
};

const apply =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const input = await readBody(request.req.raw, POLICY_API.applyPolicies.body, parts.config.maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const { policies, expectedVersions, note = null, dryRun } = input;
    const writings = Object.entries(policies).map((entry) => writingOf(parts, entry, expectedVersions));
    if (dryRun === true) return request.json({ policies: writings.map(looked) }, 202);
    const [requestId, actor] = [requestIdOf(parts, request), actorOf(request)];
    const applied = await inBatches(writings, async (writing) => {
      const { name: policy, config, expectedVersion } = writing;
      const asked = { policy, requestId, actor, config, expectedVersion, note };
      return appliedOf(writing, await parts.policiesClient.ask('apply', asked));
    });
    return request.json({ policies: applied }, 202);
  };

const moved = (request: GatewayRequest, answer: Moved): Response | Refused =>
  answer.kind === 'refused' ? { refused: answer.rejection } : request.json(answer.result, 202);

const DEFAULT_REASON = 'asked for through the API';

/** What every write about one policy begins with. */
const aboutOf = (parts: GatewayParts, request: GatewayRequest) => {
  const policy = request.req.param('id') ?? '';
  if (!nameSchema.safeParse(policy).success)
    return refuse('POLICY_UNKNOWN', `no policy ${policy.slice(0, 100)} in this tenant and project`);
  return { policy, requestId: requestIdOf(parts, request), actor: actorOf(request) };
};

const ask =
  (parts: GatewayParts, operation: 'start' | 'stop' | 'pause' | 'resume' | 'reset' | 'restart') =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const input = await readBody(request.req.raw, POLICY_API.startAgent.body, parts.config.maxBodyBytes);
    const about = foreignBoundary(parts, input) ?? aboutOf(parts, request);
    if (isRefused(about)) return about;
    const { reason = DEFAULT_REASON } = input;
    const { policiesClient } = parts;
    if (operation === 'restart')
      return moved(request, await policiesClient.ask('restart', { ...about, reason, idleMs: 0 }));
    return moved(request, await policiesClient.ask(operation, { ...about, reason }));
  };

const remove =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const input = await readBody(request.req.raw, POLICY_API.removePolicy.body, parts.config.maxBodyBytes);
    const about = foreignBoundary(parts, input) ?? aboutOf(parts, request);
    if (isRefused(about)) return about;
    const { reason = DEFAULT_REASON, expectedVersion = null } = input;
    return moved(request, await parts.policiesClient.ask('remove', { ...about, reason, expectedVersion }));
  };

const rollback =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const input = await readBody(request.req.raw, POLICY_API.rollbackPolicy.body, parts.config.maxBodyBytes);
    const about = foreignBoundary(parts, input) ?? aboutOf(parts, request);
    if (isRefused(about)) return about;
    const { toVersion, expectedVersion = null, note = null } = input;
    return moved(
      request,
      await parts.policiesClient.ask('rollback', { ...about, toVersion, expectedVersion, note }),
    );
  };

export const policyRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...POLICY_API.applyPolicies, handle: apply(parts) },
  { ...POLICY_API.removePolicy, handle: remove(parts) },
  { ...POLICY_API.rollbackPolicy, handle: rollback(parts) },
  { ...POLICY_API.startAgent, handle: ask(parts, 'start') },
  { ...POLICY_API.stopAgent, handle: ask(parts, 'stop') },
  { ...POLICY_API.restartAgent, handle: ask(parts, 'restart') },
  { ...POLICY_API.pausePolicy, handle: ask(parts, 'pause') },
  { ...POLICY_API.resumePolicy, handle: ask(parts, 'resume') },
  { ...POLICY_API.resetPolicy, handle: ask(parts, 'reset') },
];
