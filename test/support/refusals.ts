// What a request comes to that is not done, over HTTP and over NATS in the same words: the status, the kind and the code of the error index.
import { Fault } from '#libs/kernel/fault.ts';
import type { Ports } from '#libs/service/context.ts';
import { problemIn } from '#services/client/client.ts';
import { problemOfFault, problemOfRejection } from '#services/gateway/problem.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import { requestSubject } from '#streams/subjects.ts';
import { BOUNDARY } from './control-plane.ts';

interface Said {
  readonly status: number;
  readonly kind: string;
  readonly code: string;
}

/** The parts of an answer over NATS that say what it is. */
interface Outcome {
  readonly outcome: string;
  readonly code?: string;
  readonly retry?: 'now' | 'later' | 'never';
  readonly detail?: Readonly<Record<string, unknown>>;
}

const errorOf = (asked: Promise<unknown>): Promise<unknown> =>
  asked.then(
    () => undefined,
    (error: unknown) => error,
  );

/** What HTTP says no to; undefined: it does not. */
export const overHttp = async (asked: Promise<unknown>): Promise<Said | undefined> => {
  const problem = problemIn(await errorOf(asked));
  return problem && { status: problem.status, kind: problem.kind, code: problem.code };
};

/** An answer over NATS: its code, and what that code is at the one place that knows statuses. */
export const statusOf = ({ outcome, code = '', retry = 'never', detail = {} }: Outcome): Said | undefined => {
  if (outcome === 'ok') return undefined;
  const { status, body } =
    outcome === 'fault'
      ? problemOfFault(new Fault({ code, retry, message: '' }), 'req_1')
      : problemOfRejection({ code: code as RejectionCode, message: '', detail }, 'req_1');
  return { status, kind: body.kind, code };
};

/** The answer to bytes that are sent to a service, and to a request that brings none, what the asking side says of it. */
export const bytesOverNats = async (
  ports: Ports,
  [service, operation]: readonly [string, string],
  body: Uint8Array,
): Promise<Said | undefined> => {
  const subject = requestSubject(BOUNDARY, service, operation);
  const asked = ports.requests.client.request(subject, body, { timeoutMs: 5000 });
  const error = await errorOf(asked);
  if (error instanceof Fault) return statusOf({ outcome: 'fault', code: error.code, retry: error.retry });
  return statusOf(parseJson((await asked).body) as Outcome);
};

export const overNats = (
  ports: Ports,
  of: readonly [string, string],
  request: Readonly<Record<string, unknown>>,
): Promise<Said | undefined> => bytesOverNats(ports, of, jsonBytes(request));
