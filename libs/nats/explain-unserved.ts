// Answers "why does nobody take this subject?": for good, because the stream is not there or does not take it, or for now,
// because it has no leader.
import type { Fault } from '#libs/kernel/fault.ts';
import { askApi, type Patience } from './broker-api.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { classifyAnswer, type FaultFamily, portFault } from './errors.ts';

const LOOK_PATIENCE: Patience = { attemptMs: 1_000, withinMs: 1_000 };

/** Whether `filter` (with `*` and `>`) stands for `subject`. */
const isSubjectOf = (filter: string, subject: string): boolean => {
  const pattern = filter.split('.');
  const tokens = subject.split('.');
  for (const [at, want] of pattern.entries()) {
    if (want === '>') return tokens.length > at;
    if (tokens[at] === undefined || (want !== '*' && want !== tokens[at])) return false;
  }
  return pattern.length === tokens.length;
};

type Look = ReturnType<typeof askApi>;

/** Looks under way: when a stream loses its leader, everything in flight asks at once. */
const underWay = new WeakMap<NatsConnectionHandle, Map<string, Look>>();

const lookAt = (connection: NatsConnectionHandle, stream: string, family: FaultFamily): Look => {
  const looks = underWay.get(connection) ?? new Map<string, Look>();
  underWay.set(connection, looks);
  const look =
    looks.get(stream) ??
    askApi(connection, {
      family,
      what: `look at stream ${stream}`,
      subject: `$JS.API.STREAM.INFO.${stream}`,
      body: '',
      patience: LOOK_PATIENCE,
    }).finally(() => looks.delete(stream));
  looks.set(stream, look);
  return look;
};

/** The fault when no retry can help, undefined when it is a matter of time. Rejects when the broker does not say. */
export const explainUnserved = async (
  parts: { readonly connection: NatsConnectionHandle; readonly stream: string; readonly family: FaultFamily },
  subject: string,
): Promise<Fault | undefined> => {
  const { connection, stream, family } = parts;
  const answer = await lookAt(connection, stream, family);
  if (answer.kind === 'error')
    return classifyAnswer(answer.error) === 'stream-missing'
      ? portFault(family, 'MISSING', `stream ${stream} is not provisioned`)
      : undefined;
  const config = answer.value['config'] as { readonly subjects?: readonly string[] } | undefined;
  return config?.subjects?.some((filter) => isSubjectOf(filter, subject)) === true
    ? undefined
    : portFault(family, 'REFUSED', `stream ${stream} does not take ${subject}`);
};
