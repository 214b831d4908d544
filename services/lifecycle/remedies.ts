// What is done about an agent besides its life on a host: a stuck turn is nudged or interrupted, and whoever is to know of a death is
// told. A reactor of transitions; ids follow from the transition, so one that comes again does nothing twice. A step whose time is over
// is not done any more.
import { createHash } from 'node:crypto';
import { Fault } from '#libs/kernel/fault.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { idFromDigest } from '#streams/ids.ts';
import { MAIL_REQUESTS, type MailRequestOf } from '#streams/mail-requests.ts';
import { SYSTEM_SENDER } from '#streams/mail.ts';
import { policyWords } from '#streams/policy-words.ts';
import type { PolicyEvent, PolicyEventType } from '#streams/policy.ts';
import { RUN_REQUESTS, type RunRequestOf } from '#streams/run-requests.ts';
import { requestSubject, type Boundary } from '#streams/subjects.ts';
import type { PolicyTransition } from './instructions.ts';
import { ACTOR } from './policy-log.ts';
import type { PolicyState } from './policy-state.policy.ts';

type EventOf<Type extends PolicyEventType> = Extract<PolicyEvent, { readonly type: Type }>;
type Stuck = EventOf<'fleetlog.policy.stuck.v1'>;
type Death = EventOf<'fleetlog.policy.backoff.v1' | 'fleetlog.policy.failed.v1'>;

export interface Remedies {
  /** Does what a transition calls for. Faults: those of the requests port, and those answered. A refusal is said and left. */
  follow(transition: PolicyTransition, policy: PolicyState): Promise<void>;
}

interface Parts {
  readonly client: RequestClient;
  /** How long the services may take to answer. */
  readonly timeoutMs: number;
  readonly onRefused: (policy: string, what: string, why: string) => void;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Refusals of an interrupt that say that the turn is over, so that there is nothing to interrupt. */
const IS_OVER = new Set(['RUN_ENDED', 'RUN_NOT_RUNNING', 'RUN_CANCELLED', 'RUN_UNKNOWN']);

/** Still the last word about the turn. */
const isCurrent = ({ spawnId, step, evidence }: Stuck, policy: PolicyState): boolean =>
  policy?.spawn?.spawnId === spawnId &&
  policy.state === 'running' &&
  policy.stuck?.step === step &&
  policy.stuck.turnId === evidence.turnId;

/** Of a death that is sure, or of a start that is given up: a start that a host only refused killed nobody. */
const isDeath = (event: PolicyEvent): event is Death =>
  event.type === 'fleetlog.policy.failed.v1' ||
  (event.type === 'fleetlog.policy.backoff.v1' && event.cause !== 'refused');

/** False for what nothing is done about, whatever the policy says. */
export const callsForRemedy = (event: PolicyEvent): boolean =>
  isDeath(event) || event.type === 'fleetlog.policy.stuck.v1';

/** A request to another service. */
interface Asked {
  readonly service: 'mail' | 'runs';
  readonly operation: string;
  readonly request: unknown;
  readonly answer: Parameters<typeof askRequest>[1]['answer'];
}

/** The refusal; undefined: it was done. */
const ask = async (
  { client, timeoutMs }: Parts,
  boundary: Boundary,
  { service, operation, request, answer }: Asked,
): Promise<{ readonly code: string; readonly message: string } | undefined> => {
  const subject = requestSubject(boundary, service, operation);
  const answered = await askRequest<unknown>(client, { subject, request, answer, timeoutMs });
  if (answered.outcome === 'ok') return undefined;
  const { code, message } = answered;
  if (answered.outcome === 'fault') throw new Fault({ code, retry: answered.retry, message });
  return { code, message };
};

/** A transition that something is done about. */
interface Cause<Event extends PolicyEvent> {
  readonly boundary: Boundary;
  /** Of its entry. */
  readonly id: string;
  readonly event: Event;
}

const nudge = async (parts: Parts, { boundary, id, event }: Cause<Stuck>): Promise<void> => {
  const request: MailRequestOf<'nudge'> = {
    messageId: idFromDigest('message', digest(`${id}.nudge`)),
    from: SYSTEM_SENDER,
    to: event.agent,
    body: `${event.evidence.detail}. Go on, or say what you wait for.`,
    actor: ACTOR,
  };
  const { answer } = MAIL_REQUESTS.nudge;
  const refusal = await ask(parts, boundary, { service: 'mail', operation: 'nudge', request, answer });
  if (refusal !== undefined) parts.onRefused(event.policy, 'nudge', refusal.message);
};

const cancel = async (parts: Parts, { boundary, event }: Cause<Stuck>, runId: string): Promise<void> => {
  const request: RunRequestOf<'cancel'> = { runId, reason: event.evidence.detail, actor: ACTOR };
  const { answer } = RUN_REQUESTS.cancel;
  const refusal = await ask(parts, boundary, { service: 'runs', operation: 'cancel', request, answer });
  if (refusal !== undefined) parts.onRefused(event.policy, 'cancel', refusal.message);
};

/** Where no command can be given, the run is cancelled. */
const interrupt = async (parts: Parts, cause: Cause<Stuck>): Promise<void> => {
  const { runId, detail } = cause.event.evidence;
  if (runId === null) return;
  const request: RunRequestOf<'create-command'> = {
    runId,
    commandId: idFromDigest('command', digest(`${cause.id}.interrupt`)),
    type: 'interrupt',
    reason: detail,
    actor: ACTOR,
  };
  const { answer } = RUN_REQUESTS['create-command'];
  const asked = { service: 'runs', operation: 'create-command', request, answer } as const;
  const refusal = await ask(parts, cause.boundary, asked);
  if (refusal !== undefined && !IS_OVER.has(refusal.code)) await cancel(parts, cause, runId);
};

const tell = async (parts: Parts, { boundary, event }: Cause<Death>, to: string): Promise<void> => {
  const { policy, spawnId, host } = event;
  const what = event.type === 'fleetlog.policy.failed.v1' ? 'was given up' : 'has died';
  const request: MailRequestOf<'send'> = {
    // One start dies once.
    messageId: idFromDigest('message', digest(`${spawnId}.death`)),
    from: SYSTEM_SENDER,
    to,
    subject: `Agent of policy ${policy} ${what}`,
    body: `${policy} on ${host}: ${policyWords(event)}. See: fleetlog why ${policy}`,
    needsReply: false,
    priority: 'normal',
    actor: ACTOR,
  };
  const { answer } = MAIL_REQUESTS.send;
  const refusal = await ask(parts, boundary, { service: 'mail', operation: 'send', request, answer });
  if (refusal !== undefined) parts.onRefused(policy, 'notice', refusal.message);
};

export const createRemedies = (parts: Parts): Remedies => ({
  follow: async ({ boundary, event, envelope: { id } }, policy) => {
    const notify = policy?.config.notify;
    if (isDeath(event) && notify !== undefined) return tell(parts, { boundary, id, event }, notify);
    if (event.type !== 'fleetlog.policy.stuck.v1' || !isCurrent(event, policy)) return;
    if (event.step === 'nudge') await nudge(parts, { boundary, id, event });
    if (event.step === 'interrupt') await interrupt(parts, { boundary, id, event });
  },
});
