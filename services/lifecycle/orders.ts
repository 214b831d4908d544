// What people ask of policies, and what the lifecycle service answers (streams/policy-requests.ts). What was written is redacted before
// anything is decided: secrets reach neither the log nor a host through it. Every request may be repeated: ids follow from it.
import type { z } from 'zod';
import { cronProblem } from '#libs/cron/cron.ts';
import { rejection, type Rejection } from '#libs/kernel/rejection.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import type { ServedRequest } from '#libs/service/define-service.ts';
import { ok, refused, type Answer } from '#libs/service/request-answer.ts';
import { serveRequest } from '#libs/service/serve-request.ts';
import {
  POLICY_REQUESTS,
  type PolicyOperation,
  type PolicyRequestOf,
  type PolicyResultOf,
} from '#streams/policy-requests.ts';
import type { PolicyConfig } from '#streams/policy-config.ts';
import type { PolicyCommand } from '#streams/policy-commands.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import { controlPlaneOf, requestFilter, type Boundary } from '#streams/subjects.ts';
import type { Directory } from './directory.ts';
import { policyAt, policyKey, type PolicyLog } from './policy-log.ts';

interface Parts {
  readonly policyLog: PolicyLog;
  readonly directory: Directory;
  readonly redactor: Redactor;
}

/** The rules know no name of what is not there. */
const named = <Code extends string>(policy: string, refusal: Rejection<Code>): Rejection<Code> =>
  refusal.code === 'POLICY_UNKNOWN'
    ? { ...refusal, message: `no policy is called ${policy}; those that there are: fleetlog policy list` }
    : refusal;

type Moved = Answer<PolicyResultOf<'start'>, RejectionCode>;
type Asked = PolicyRequestOf<PolicyOperation>;

const invalid = (policy: string, why: string): Moved =>
  refused(rejection('POLICY_INVALID', `policy ${policy}: ${why}`, { policy }));

/** What a schema cannot see. */
const refuseConfig = (
  { directory }: Parts,
  boundary: Boundary,
  policy: string,
  { mode, schedule, agent }: PolicyConfig,
): Moved | undefined => {
  if (mode === 'scheduled' && schedule === undefined)
    return invalid(policy, 'mode scheduled needs a schedule with a cron expression');
  const problem = schedule === undefined ? undefined : cronProblem(schedule);
  if (problem !== undefined) return invalid(policy, `schedule: ${problem}`);
  const holder = directory.holderOf(boundary, agent, policy);
  if (holder === undefined) return undefined;
  const message = `policy ${policy}: agent ${agent} is that of policy ${holder}; one agent has one policy`;
  return refused(rejection('POLICY_AGENT_TAKEN', message, { policy, agent, holder }));
};

const commandOf = <Op extends PolicyOperation>(operation: Op, asked: PolicyRequestOf<Op>): PolicyCommand => {
  const {
    policy: _policy,
    requestId: _requestId,
    actor: _actor,
    ...rest
  } = asked as Asked & Record<string, unknown>;
  // The requests are the commands but for who asks; what is checked at the boundary is what the decider takes.
  if (operation === 'apply') return { ...rest, kind: 'apply', policy: asked.policy } as PolicyCommand;
  if (operation === 'restart') return { ...rest, kind: 'restart', cause: 'operator' } as PolicyCommand;
  return { ...rest, kind: operation } as PolicyCommand;
};

const handle =
  <Op extends PolicyOperation>(parts: Parts, operation: Op) =>
  async (boundary: Boundary, given: PolicyRequestOf<Op>): Promise<Moved> => {
    const { policyLog, directory, redactor } = parts;
    // Redaction keeps the shape: strings stay strings, names and ids are as they were.
    const request = redactor.value(given).value as PolicyRequestOf<Op>;
    const { policy, requestId, actor } = request;
    const refusal =
      operation === 'apply'
        ? refuseConfig(parts, boundary, policy, (request as PolicyRequestOf<'apply'>).config)
        : undefined;
    if (refusal !== undefined) return refusal;
    const target = { boundary, policy, actor };
    const id = `${policyKey(target)}.${operation}.${requestId}`;
    // Nobody has told of a new one: it need not be read before it is written.
    const begins = operation === 'apply' && directory.configOf(target) === undefined;
    const outcome = await policyLog.handle(target, commandOf(operation, request), { id, begins });
    if (outcome.kind === 'rejected') return refused(named(policy, outcome.rejection));
    const { state } = await policyAt(policyLog, target, outcome.seq);
    return ok({
      policy,
      seq: Math.max(1, outcome.seq),
      version: state?.version ?? 1,
      state: state?.state ?? 'stopped',
      unchanged: outcome.kind === 'unchanged',
    });
  };

const serve = (parts: Parts, operation: PolicyOperation): ServedRequest =>
  serveRequest({
    subject: requestFilter('lifecycle', operation),
    askerOf: controlPlaneOf,
    schema: POLICY_REQUESTS[operation].request as z.ZodType<Asked>,
    handle: handle(parts, operation),
  });

/** All operations of the service. */
export const policyRequests = (parts: Parts): readonly ServedRequest[] =>
  (Object.keys(POLICY_REQUESTS) as PolicyOperation[]).map((operation) => serve(parts, operation));
