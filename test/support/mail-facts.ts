// What became of an agent's messages, from the streams alone: in the prompt of which run each was, and which of those runs really started.
import type { Ports } from '#libs/service/context.ts';
import { decodeReport } from '#streams/report-codec.ts';
import type { ReportData } from '#streams/reports.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import type { AgentMailRequestOf } from '#streams/mail-requests.ts';
import { aggregateFilter, typedFilter } from '#streams/subjects.ts';
import { BOUNDARY } from './control-plane.ts';
import { askAsUser, letter } from './mail-asking.ts';
import { AGENT } from './runner-rig.ts';

/** Sends a message to the agent, as the person `user`; its id is given back. */
export const sendMail = async (
  ports: Ports,
  more: Partial<AgentMailRequestOf<'send'>> = {},
): Promise<string> => {
  const message = letter({ to: AGENT, subject: null, body: 'hello', needsReply: false, ...more });
  const answer = await askAsUser(ports, 'send', message);
  if (answer.outcome !== 'ok') throw new Error(`not sent: ${answer.code}: ${answer.message}`);
  return message.messageId;
};

/** The way of one message. */
interface MailWay {
  /** Runs whose prompt has it. */
  readonly prompts: readonly string[];
  /** Those of them whose turn has started, once for each start. */
  readonly started: readonly string[];
  /** Turns that were reported to have brought it. */
  readonly injected: readonly ReportData<'mail-injected'>[];
  /** How often it was reported as delivered, and as expired. */
  readonly delivered: number;
  readonly expired: number;
}

interface Facts {
  readonly prompts: ReadonlyMap<string, string>;
  readonly starts: readonly string[];
  readonly reports: readonly { readonly name: string; readonly data: unknown }[];
}

const readFacts = async (ports: Ports): Promise<Facts> => {
  const prompts = new Map<string, string>();
  const starts: string[] = [];
  const reports: { name: string; data: unknown }[] = [];
  for await (const entry of ports
    .log('TRANSITIONS')
    .replay({ subjects: [aggregateFilter('run', BOUNDARY)] })) {
    const reading = decodeRunEvent(entry);
    if (reading.kind !== 'known' || reading.event.type !== 'fleetlog.run.created.v1') continue;
    prompts.set(reading.event.runId, reading.event.request.prompt);
  }
  const subjects = [typedFilter('evt', { ...BOUNDARY, id: AGENT })];
  for await (const entry of ports.log('EVENTS').replay({ subjects })) {
    const reading = decodeReport(entry);
    if (reading.kind !== 'known') continue;
    if (reading.name === 'turn-started') starts.push(reading.data.runId);
    reports.push({ name: reading.name, data: reading.data });
  }
  return { prompts, starts, reports };
};

/** The ways of messages so far, in the order given. */
export const waysOf = async (ports: Ports, messageIds: readonly string[]): Promise<readonly MailWay[]> => {
  const { prompts, starts, reports } = await readFacts(ports);
  return messageIds.map((messageId) => {
    const about = reports.filter(
      ({ data }) =>
        typeof data === 'object' && data !== null && 'messageId' in data && data.messageId === messageId,
    );
    const runs = [...prompts].filter(([, prompt]) => prompt.includes(messageId)).map(([runId]) => runId);
    const named = (name: string) => about.filter((report) => report.name === name);
    return {
      prompts: runs,
      started: starts.filter((runId) => runs.includes(runId)),
      injected: named('mail-injected').map(({ data }) => data as ReportData<'mail-injected'>),
      delivered: named('mail-delivered').length,
      expired: named('mail-expired').length,
    };
  });
};

/** Resolves when each message was reported to have been brought by a turn. */
export const allInjected = async (ports: Ports, messageIds: readonly string[]): Promise<void> => {
  const left = new Set(messageIds);
  const found = new AbortController();
  const subjects = [typedFilter('evt', { ...BOUNDARY, id: AGENT, type: 'mail-injected' })];
  for await (const entry of ports.log('EVENTS').replay({ subjects, follow: true, signal: found.signal })) {
    const reading = decodeReport(entry);
    if (reading.kind === 'known' && reading.name === 'mail-injected') left.delete(reading.data.messageId);
    if (left.size === 0) found.abort();
  }
};
