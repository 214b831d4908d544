// What all parts of one log share: its connection, its stream, its patience, and the answer to "why does nobody take this
// subject?".
import type { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { askApi, type Patience } from './broker-api.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { refused } from './entry-wire.ts';
import { classifyAnswer, portFault } from './errors.ts';
import type { Lost, ReplyInbox } from './reply-inbox.ts';

export interface LogContext {
  readonly connection: NatsConnectionHandle;
  readonly inbox: ReplyInbox;
  readonly clock: Clock;
  readonly stream: string;
  readonly patience: Patience;
  /** The fault when no retry can help, undefined when it is a matter of time (no leader). */
  explainUnserved(subject: string): Promise<Fault | undefined>;
  /** The fault of a request that will not be answered. */
  lostFault(subject: string, reason: Lost): Fault;
}

/** Whether `filter` (with `*` and `>`) stands for `subject`. */
export const isSubjectOf = (filter: string, subject: string): boolean => {
  const pattern = filter.split('.');
  const tokens = subject.split('.');
  for (const [at, want] of pattern.entries()) {
    if (want === '>') return tokens.length > at;
    if (tokens[at] === undefined || (want !== '*' && want !== tokens[at])) return false;
  }
  return pattern.length === tokens.length;
};

const INFO_PATIENCE: Patience = { attemptMs: 1_000, withinMs: 1_000 };

const subjectsOf = (info: Readonly<Record<string, unknown>>): readonly string[] =>
  (info['config'] as { readonly subjects?: readonly string[] } | undefined)?.subjects ?? [];

/** The context of a log. */
export const createLogContext = (
  connection: NatsConnectionHandle,
  stream: string,
  patience: Patience,
): LogContext => ({
  connection,
  inbox: connection.inbox,
  clock: connection.clock,
  stream,
  patience,
  explainUnserved: async (subject) => {
    const answer = await askApi(connection, {
      family: 'LOG',
      what: `look at stream ${stream}`,
      subject: `$JS.API.STREAM.INFO.${stream}`,
      body: '',
      patience: INFO_PATIENCE,
    });
    if (answer.kind === 'error')
      return classifyAnswer(answer.error) === 'stream-missing'
        ? portFault('LOG', 'MISSING', `stream ${stream} is not provisioned`)
        : undefined;
    const isOurs = subjectsOf(answer.value).some((filter) => isSubjectOf(filter, subject));
    return isOurs ? undefined : refused(`stream ${stream} does not take ${subject}`);
  },
  lostFault: (subject, reason) =>
    reason === 'forbidden'
      ? refused(`no permission to publish to ${subject}`)
      : portFault('LOG', 'UNAVAILABLE', `append to ${subject}: the connection is closed`),
});
