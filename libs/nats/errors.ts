// The one place that turns what the client throws and the broker answers into our faults. A conflict is no fault:
// it is classified here and becomes an outcome where it is met.
import { Fault, type RetryClass } from '#libs/kernel/fault.ts';
import {
  AuthorizationError,
  InvalidArgumentError,
  InvalidSubjectError,
  PermissionViolationError,
  UserAuthenticationExpiredError,
} from '@nats-io/transport-node';
import { LostReply } from './reply-inbox.ts';

/** The `error` object of a JetStream answer. */
export interface BrokerError {
  readonly code: number;
  readonly err_code?: number;
  readonly description?: string;
}

/**
 * What an answer means for the one who asked: `conflict` – an expected sequence did not hold; `not-next` – the entry that it was to follow is not
 * the last of the stream; `busy` – another write on
 * this subject or id is under way, ask again at once; `duplicate-in-batch` – an id of the batch is stored already;
 * `no-batches` – the stream takes no atomic batches; `batch-lost` – the broker does not have the whole batch (any more).
 */
export type AnswerKind =
  | 'conflict'
  | 'not-next'
  | 'busy'
  | 'duplicate-in-batch'
  | 'no-batches'
  | 'batch-lost'
  | 'not-found'
  | 'stream-missing'
  | 'consumer-missing'
  | 'unavailable'
  | 'full'
  | 'refused';

const KINDS: ReadonlyMap<number, AnswerKind> = new Map<number, AnswerKind>([
  [10071, 'conflict'],
  [10070, 'not-next'],
  // Another write on the subject is in flight (clusters); the sequence it will have is not known yet.
  [10164, 'busy'],
  [10158, 'busy'],
  [10163, 'busy'],
  [10201, 'duplicate-in-batch'],
  [10174, 'no-batches'],
  [10176, 'batch-lost'],
  [10210, 'batch-lost'],
  [10037, 'not-found'],
  [10043, 'not-found'],
  [10059, 'stream-missing'],
  [10014, 'consumer-missing'],
  [10149, 'consumer-missing'],
  // Limits of the stream or the account, and a full disk ("resource limits", "insufficient …", store failures).
  [10002, 'full'],
  [10023, 'full'],
  [10028, 'full'],
  [10047, 'full'],
  [10077, 'full'],
  [10122, 'full'],
  // No leader, election, start-up, shutdown, queue overflow: a matter of time.
  [10004, 'unavailable'],
  [10007, 'unavailable'],
  [10008, 'unavailable'],
  [10009, 'unavailable'],
  [10039, 'unavailable'],
  [10076, 'unavailable'],
  [10104, 'unavailable'],
  [10118, 'unavailable'],
  [10119, 'unavailable'],
  [10167, 'unavailable'],
  [10202, 'unavailable'],
]);

/** What a JetStream error code means. Unknown codes are refusals, except those that say "not now" (429, 503). */
export const classifyAnswer = (error: BrokerError): AnswerKind =>
  KINDS.get(error.err_code ?? 0) ?? (error.code === 503 || error.code === 429 ? 'unavailable' : 'refused');

/** The sequence in "wrong last sequence: 17", if the broker named it. */
export const actualSequence = (error: BrokerError): number | undefined => {
  const found = /: (\d+)$/.exec(error.description ?? '');
  return found?.[1] === undefined ? undefined : Number(found[1]);
};

/** The ports' fault families; each has `_UNAVAILABLE`, `_REFUSED`, `_MISSING`; what stores also `_FULL`, requests `_UNANSWERED`, `_BUSY` and `_TOO_LARGE`. */
export type FaultFamily = 'LOG' | 'KV' | 'QUEUE' | 'BLOBS' | 'TOPOLOGY' | 'REQUEST';
export type FaultEnding =
  | 'UNAVAILABLE'
  | 'REFUSED'
  | 'MISSING'
  | 'FULL'
  | 'UNANSWERED'
  | 'BUSY'
  | 'TOO_LARGE';

const RETRY: Readonly<Record<FaultEnding, RetryClass>> = {
  UNAVAILABLE: 'later',
  FULL: 'later',
  UNANSWERED: 'later',
  BUSY: 'later',
  REFUSED: 'never',
  MISSING: 'never',
  TOO_LARGE: 'never',
};

/** A fault of a port. */
export const portFault = (
  family: FaultFamily,
  ending: FaultEnding,
  message: string,
  cause?: unknown,
): Fault =>
  new Fault({
    code: `${family}_${ending}`,
    retry: RETRY[ending],
    message,
    ...(cause === undefined ? {} : { cause }),
  });

const ENDINGS: Readonly<Partial<Record<AnswerKind, FaultEnding>>> = {
  full: 'FULL',
  unavailable: 'UNAVAILABLE',
  busy: 'UNAVAILABLE',
  'batch-lost': 'UNAVAILABLE',
  'stream-missing': 'MISSING',
  'consumer-missing': 'MISSING',
};

/** The fault of an answer that is neither success nor an outcome of its own. */
export const answerFault = (family: FaultFamily, what: string, error: BrokerError): Fault => {
  const ending = ENDINGS[classifyAnswer(error)] ?? 'REFUSED';
  const fault = portFault(family, ending, `${what}: ${error.description ?? 'refused'}`);
  return new Fault({
    code: fault.code,
    retry: fault.retry,
    message: fault.message,
    detail: { brokerCode: error.err_code ?? error.code },
  });
};

/** The fault of something thrown by the client while `what` was being done. Faults pass unchanged. */
export const thrownFault = (family: FaultFamily, what: string, error: unknown): Fault => {
  if (error instanceof Fault) return error;
  const reason = error instanceof Error ? error.message : String(error);
  const isRefusal =
    error instanceof InvalidArgumentError ||
    error instanceof InvalidSubjectError ||
    error instanceof PermissionViolationError ||
    (error instanceof LostReply && error.reason === 'forbidden');
  return portFault(family, isRefusal ? 'REFUSED' : 'UNAVAILABLE', `${what}: ${reason}`, error);
};

/** Whether a server was reached and refused who we are. */
export const isCredentialError = (error: unknown): boolean =>
  error instanceof AuthorizationError ||
  error instanceof UserAuthenticationExpiredError ||
  (error instanceof Error && error.cause !== undefined && isCredentialError(error.cause));

/** The fault of a first connection that did not come about. */
export const connectFault = (error: unknown, servers: readonly string[], user: string | undefined): Fault => {
  const reason = error instanceof Error ? error.message : String(error);
  const at = servers.join(', ');
  if (isCredentialError(error))
    return new Fault({
      code: 'BROKER_UNAUTHORIZED',
      retry: 'never',
      message: `the broker at ${at} refused user ${user ?? '(none)'}: check the user name and password in the configuration`,
      detail: { servers, user },
      cause: error,
    });
  return new Fault({
    code: 'BROKER_UNREACHABLE',
    retry: 'later',
    message: `no broker answers at ${at} (${reason}): start it, or correct the address in the configuration`,
    detail: { servers },
    cause: error,
  });
};
