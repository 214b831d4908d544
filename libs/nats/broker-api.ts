// Requests to the broker's JetStream API that may be repeated without harm (reads, creations under a fixed name): asked again
// until answered, or until the deadline. Does not interpret refusals: those are values for the caller.
import type { Fault } from '#libs/kernel/fault.ts';
import type { Msg } from '@nats-io/transport-node';
import { whyAway, type NatsConnectionHandle } from './connect.ts';
import { type BrokerError, classifyAnswer, type FaultFamily, portFault, thrownFault } from './errors.ts';
import { isUnserved } from './raw-message.ts';
import { LostReply } from './reply-inbox.ts';

/** How long one attempt and all of them may take. An election takes 4 to 9 s. */
export interface Patience {
  readonly attemptMs: number;
  readonly withinMs: number;
}

export const DEFAULT_PATIENCE: Patience = { attemptMs: 2_000, withinMs: 12_000 };
const RETRY_MS = 100;

export interface ApiCall {
  /** Whose faults these are. */
  readonly family: FaultFamily;
  /** For messages: "read last entry of run.7". */
  readonly what: string;
  readonly subject: string;
  readonly body: Uint8Array | string;
  readonly patience?: Patience;
  readonly signal?: AbortSignal;
}

/** A JetStream API answer: what was asked for, or the broker's refusal. */
export type ApiAnswer =
  | { readonly kind: 'ok'; readonly value: Readonly<Record<string, unknown>> }
  | { readonly kind: 'error'; readonly error: BrokerError };

const encoder = new TextEncoder();

const expired = (call: ApiCall, reason: string): Fault =>
  portFault(call.family, 'UNAVAILABLE', `${call.what}: ${reason}`);

/** Runs `attempt` until it gives a value, `signal` aborts or the time is over. `undefined` means: not now, try again. */
const persist = async <T>(
  connection: NatsConnectionHandle,
  call: ApiCall,
  attempt: (timeoutMs: number) => Promise<T | undefined>,
): Promise<T> => {
  const { clock } = connection;
  const patience = call.patience ?? DEFAULT_PATIENCE;
  const deadline = clock.monotonicMs() + patience.withinMs;
  for (;;) {
    const leftMs = deadline - clock.monotonicMs();
    if (leftMs <= 0) throw expired(call, 'the broker gave no answer in time');
    if (call.signal?.aborted === true) throw expired(call, 'given up');
    const isUp = await connection.whenConnected({
      withinMs: leftMs,
      ...(call.signal ? { signal: call.signal } : {}),
    });
    if (!isUp) throw expired(call, whyAway(connection));
    const value = await attempt(Math.min(patience.attemptMs, leftMs)).catch((error: unknown) => {
      if (error instanceof LostReply && (error.reason === 'timeout' || error.reason === 'disconnected'))
        return undefined;
      throw thrownFault(call.family, call.what, error);
    });
    if (value !== undefined) return value;
    await clock.sleep(RETRY_MS, call.signal);
  }
};

/** One request and its answer, whatever that is (an unserved subject is a status 503). Faults: `_UNAVAILABLE`, `_REFUSED`. */
export const askRaw = (connection: NatsConnectionHandle, call: ApiCall): Promise<Msg> => {
  const body = typeof call.body === 'string' ? encoder.encode(call.body) : call.body;
  return persist(connection, call, (timeoutMs) => connection.inbox.request(call.subject, body, timeoutMs));
};

const asBrokerError = (value: unknown): BrokerError | undefined =>
  typeof value === 'object' && value !== null && 'code' in value ? (value as BrokerError) : undefined;

/** Parses a JetStream API answer. */
const parseAnswer = (message: Msg): ApiAnswer => {
  const value = JSON.parse(message.string()) as Readonly<Record<string, unknown>>;
  const error = asBrokerError(value['error']);
  return error === undefined ? { kind: 'ok', value } : { kind: 'error', error };
};

/** An API request: repeated while the broker has no leader or is away. Faults: `_UNAVAILABLE`, `_REFUSED`. */
export const askApi = (connection: NatsConnectionHandle, call: ApiCall): Promise<ApiAnswer> => {
  const body = typeof call.body === 'string' ? encoder.encode(call.body) : call.body;
  return persist(connection, call, async (timeoutMs) => {
    const message = await connection.inbox.request(call.subject, body, timeoutMs);
    if (isUnserved(message)) return undefined;
    const answer = parseAnswer(message);
    return answer.kind === 'error' && classifyAnswer(answer.error) === 'unavailable' ? undefined : answer;
  });
};
