// Mail as a test uses it: asks the mail service in the name of an agent or of the control plane, reports as a runner does, reads the log.
import type { Ports } from '#libs/service/context.ts';
import { systemIds } from '#libs/system/ids.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { decodeMail, type MailEvent } from '#streams/mail-codec.ts';
import {
  AGENT_MAIL_REQUESTS,
  MAIL_REQUESTS,
  type AgentMailOperation,
  type AgentMailRequestOf,
  type AgentMailResultOf,
  type MailOperation,
  type MailRequestOf,
} from '#streams/mail-requests.ts';
import { encodeReport } from '#streams/report-codec.ts';
import type { ReportData, ReportName } from '#streams/reports.ts';
import { agentRequestSubject, requestSubject, typedFilter } from '#streams/subjects.ts';
import { BOUNDARY } from './control-plane.ts';

/** Any answer of the service. */
export type MailAnswer<Op extends AgentMailOperation> =
  | { readonly outcome: 'ok'; readonly result: AgentMailResultOf<Op> }
  | { readonly outcome: 'refused'; readonly code: string; readonly message: string }
  | { readonly outcome: 'fault'; readonly code: string; readonly message: string };

const TIMEOUT_MS = 5000;

export const newMessageId = (): string => makeId('message', systemIds.ulid());

/** Asks as the runner of an agent. */
export const askAsAgent = async <Op extends AgentMailOperation>(
  ports: Ports,
  agent: string,
  operation: Op,
  request: AgentMailRequestOf<Op>,
): Promise<MailAnswer<Op>> => {
  const subject = agentRequestSubject({ ...BOUNDARY, agent }, 'mail', operation);
  const answer = await ports.requests.client.request(subject, jsonBytes(request), { timeoutMs: TIMEOUT_MS });
  return AGENT_MAIL_REQUESTS[operation].answer.parse(parseJson(answer.body)) as MailAnswer<Op>;
};

/** Asks as the control plane, for the person `user` unless told. */
export const askAsUser = async <Op extends MailOperation>(
  ports: Ports,
  operation: Op,
  request: Omit<MailRequestOf<Op>, 'from' | 'actor'>,
  from = 'user',
): Promise<MailAnswer<Op>> => {
  const subject = requestSubject(BOUNDARY, 'mail', operation);
  const body = jsonBytes({ ...request, from, actor: 'user:test' });
  const answer = await ports.requests.client.request(subject, body, { timeoutMs: TIMEOUT_MS });
  return MAIL_REQUESTS[operation].answer.parse(parseJson(answer.body)) as MailAnswer<Op>;
};

/** A message that asks for a reply, to `builder-1` unless told. */
export const letter = (over: Partial<AgentMailRequestOf<'send'>> = {}): AgentMailRequestOf<'send'> => ({
  messageId: newMessageId(),
  to: 'builder-1',
  subject: 'Which cart?',
  body: 'Does the old cart change as well?',
  needsReply: true,
  priority: 'normal',
  ...over,
});

/** The answer to a message. */
export const answerTo = (
  replyTo: string,
  over: Partial<AgentMailRequestOf<'reply'>> = {},
): AgentMailRequestOf<'reply'> => ({
  messageId: newMessageId(),
  replyTo,
  body: 'Only the new one.',
  needsReply: false,
  priority: 'normal',
  ...over,
});

/** Appends a report to EVENTS, as the buffer of a runner would. */
export const reportOf = async <Name extends ReportName>(
  ports: Ports,
  agent: string,
  report: { readonly name: Name; readonly data: ReportData<Name>; readonly id?: string },
): Promise<void> => {
  const { name, data, id = makeId('event', systemIds.ulid()) } = report;
  const meta = { boundary: BOUNDARY, agent, source: `/runner/${agent}`, actor: `agent:${agent}` };
  await ports.log('EVENTS').append(encodeReport(name, data, { ...meta, id, timeMs: ports.clock.now() }));
};

/** An event of mail, its place and its id. */
export interface PlacedEvent {
  readonly seq: number;
  readonly id: string;
  readonly event: MailEvent;
}

/** Every event of MESSAGES to one recipient, in order. */
export const mailOf = async (ports: Ports, to: string): Promise<readonly PlacedEvent[]> => {
  const found: PlacedEvent[] = [];
  const filter = typedFilter('msg', { ...BOUNDARY, id: to });
  for await (const entry of ports.log('MESSAGES').replay({ subjects: [filter] })) {
    const event = decodeMail(entry);
    if (event.kind === 'known') found.push({ seq: entry.seq, id: entry.headers['Nats-Msg-Id'] ?? '', event });
  }
  return found;
};

/** Follows MESSAGES until `pick` finds what it waits for. */
export const mailUntil = async (
  ports: Ports,
  to: string,
  pick: (event: MailEvent) => boolean,
): Promise<PlacedEvent> => {
  const found = new AbortController();
  const filter = typedFilter('msg', { ...BOUNDARY, id: to });
  const replay = ports.log('MESSAGES').replay({ subjects: [filter], follow: true, signal: found.signal });
  try {
    for await (const entry of replay) {
      const event = decodeMail(entry);
      if (event.kind === 'known' && pick(event))
        return { seq: entry.seq, id: entry.headers['Nats-Msg-Id'] ?? '', event };
    }
  } finally {
    found.abort();
  }
  throw new Error('the replay ended');
};
