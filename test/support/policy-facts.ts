// What tests of policies ask for and wait for: requests, and the facts of a policy's record. Nothing here waits for time: a fact that does
// not come runs into the limit of the test.
import { toFault } from '#libs/kernel/fault.ts';
import type { Ports } from '#libs/service/context.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { configOf, policyInputSchema } from '#streams/policy-config.ts';
import { decodePolicyEvent } from '#streams/policy-codec.ts';
import {
  POLICY_REQUESTS,
  type PolicyAnswerOf,
  type PolicyOperation,
  type PolicyRequestOf,
} from '#streams/policy-requests.ts';
import type { PolicyEvent, PolicyEventType } from '#streams/policy.ts';
import { aggregateSubject, requestSubject } from '#streams/subjects.ts';
import { BOUNDARY } from './control-plane.ts';

/** Asks the lifecycle service; any answer is a value. */
export const askPolicies = async <Op extends PolicyOperation>(
  ports: Ports,
  operation: Op,
  request: PolicyRequestOf<Op>,
): Promise<PolicyAnswerOf<Op>> => {
  const subject = requestSubject(BOUNDARY, 'lifecycle', operation);
  const { body } = await ports.requests.client.request(subject, jsonBytes(request), { timeoutMs: 5000 });
  return POLICY_REQUESTS[operation].answer.parse(parseJson(body)) as PolicyAnswerOf<Op>;
};

/** Between two tries of what was not answered. */
const AGAIN_MS = 20;

/** Asks under one id until it is answered: whoever has the request in hand, or the broker, may be the next to die. */
export const surely = async <T>(call: () => Promise<T>): Promise<T> => {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (toFault(error).retry === 'never') throw error;
      await systemClock.sleep(AGAIN_MS);
    }
  }
};

/** A request to apply a policy, as a file would say it. */
export const applyRequest = (
  policy: string,
  given: Readonly<Record<string, unknown>> = {},
): PolicyRequestOf<'apply'> => ({
  policy,
  requestId: systemIds.ulid(),
  actor: 'user:test',
  config: configOf(policy, policyInputSchema.parse({ mode: 'always-on', ...given })),
  expectedVersion: null,
  note: null,
});

/** Applies it; throws for any other answer than ok. */
export const applyPolicy = async (
  ports: Ports,
  policy: string,
  given: Readonly<Record<string, unknown>> = {},
): Promise<void> => {
  const answer = await askPolicies(ports, 'apply', applyRequest(policy, given));
  if (answer.outcome !== 'ok') throw new Error(`apply: ${JSON.stringify(answer)}`);
};

/** Start, stop, pause, …; any answer is a value. */
export const askPolicy = <Op extends 'start' | 'stop' | 'pause' | 'resume' | 'reset'>(
  ports: Ports,
  policy: string,
  operation: Op,
) =>
  askPolicies(ports, operation, {
    policy,
    requestId: systemIds.ulid(),
    actor: 'user:test',
    reason: 'test',
  } as PolicyRequestOf<Op>);

type EventOf<Type extends PolicyEventType> = Extract<PolicyEvent, { readonly type: Type }>;
type Short = PolicyEventType extends `fleetlog.policy.${infer Name}.v1` ? Name : never;

/** The first (or nth) transition of a policy that is of this type, once it is there. */
export const policyEvent = async <Name extends Short>(
  ports: Ports,
  policy: string,
  name: Name,
  nth = 1,
): Promise<EventOf<`fleetlog.policy.${Name}.v1`> & { readonly seq: number }> => {
  const found = new AbortController();
  const subjects = [aggregateSubject(BOUNDARY, 'policy', policy)];
  let count = 0;
  try {
    for await (const entry of ports
      .log('TRANSITIONS')
      .replay({ subjects, follow: true, signal: found.signal })) {
      const reading = decodePolicyEvent(entry);
      if (reading.kind !== 'known' || reading.event.type !== `fleetlog.policy.${name}.v1`) continue;
      count += 1;
      if (count === nth)
        return { ...(reading.event as EventOf<`fleetlog.policy.${Name}.v1`>), seq: entry.seq };
    }
  } finally {
    found.abort();
  }
  throw new Error('the replay ended');
};

/** Every transition of a policy, oldest first. */
export const policyHistory = async (ports: Ports, policy: string): Promise<PolicyEvent[]> => {
  const events: PolicyEvent[] = [];
  for await (const entry of ports.log('TRANSITIONS').read(aggregateSubject(BOUNDARY, 'policy', policy))) {
    const reading = decodePolicyEvent(entry);
    if (reading.kind === 'known') events.push(reading.event);
  }
  return events;
};
