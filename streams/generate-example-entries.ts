// The examples as entries, as the log stores them: for the generated pages and for the recorder of golden entries.
import { encodeAdmissionEvent } from './admission.ts';
import { buildDeadLetter } from './dead-letters.ts';
import type { EntryMeta, EntryParts } from './entry.ts';
import {
  EXAMPLE,
  EXAMPLE_AT,
  INSTRUCTION_EXAMPLES,
  REPORT_EXAMPLES,
  RUN_EXAMPLES,
} from './generate-examples.ts';
import { SESSION_EXAMPLES } from './generate-session-examples.ts';
import { encodeSessionEvent } from './session-codec.ts';
import { ADMISSION_EXAMPLE, TASK_EXAMPLES } from './generate-task-examples.ts';
import { MAIL_EXAMPLES, MAIL_REPORT_EXAMPLES } from './generate-mail-examples.ts';
import {
  EXAMPLE_HOST,
  HOST_EXAMPLES,
  HOST_INSTRUCTION_EXAMPLES,
  HOST_REPORT_EXAMPLES,
} from './generate-host-examples.ts';
import { POLICY_EXAMPLES } from './generate-policy-examples.ts';
import { encodePolicyEvent } from './policy-codec.ts';
import { encodeHostEvent } from './host-codec.ts';
import { HOST_REPORTS } from './host-reports.ts';
import { encodeInstruction, type InstructionData } from './instruction-codec.ts';
import type { InstructionName } from './instructions.ts';
import { encodeMail } from './mail-codec.ts';
import type { MailName } from './mail.ts';
import { encodeReport } from './report-codec.ts';
import { REPORTS, type ReportData, type ReportName } from './reports.ts';
import { encodeRunEvent } from './run-codec.ts';
import { encodeTaskEvent } from './task-codec.ts';

/** Every report, those about mail and of hosts included. */
export const ALL_REPORTS: { readonly [Name in ReportName]: ReportData<Name> } = {
  ...REPORT_EXAMPLES,
  ...MAIL_REPORT_EXAMPLES,
  ...HOST_REPORT_EXAMPLES,
};

const ALL_INSTRUCTIONS: { readonly [Name in InstructionName]: InstructionData<Name> } = {
  ...INSTRUCTION_EXAMPLES,
  ...HOST_INSTRUCTION_EXAMPLES,
};

const { boundary, agent, runId, sessionId, commandId, eventId } = EXAMPLE;
const SECOND = 1000;

const serviceMeta = (timeMs: number): EntryMeta => ({
  boundary,
  id: `${runId}:1`,
  source: '/service/runs',
  actor: 'user:anna',
  causation: commandId,
  correlation: runId,
  timeMs,
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
});

const taskMeta = (about: string): EntryMeta => ({
  ...serviceMeta(EXAMPLE_AT),
  id: `${about}:1`,
  source: '/service/tasks',
  causation: `${about}:0`,
  correlation: about,
});

const hostMeta = (host: string): EntryMeta => ({ ...taskMeta(host), source: '/service/hosts' });
const sessionMeta: EntryMeta = {
  ...serviceMeta(EXAMPLE_AT),
  id: `${sessionId}:1`,
  source: '/service/sessions',
  causation: `${runId}:1`,
  correlation: sessionId,
};

const policyMeta = (policy: string): EntryMeta => ({ ...taskMeta(policy), source: '/service/lifecycle' });

const exampleReport = <Name extends ReportName>(name: Name, data: ReportData<Name>): EntryParts =>
  encodeReport(name, data, {
    agent,
    boundary,
    id: eventId,
    source: `/runner/${agent}`,
    actor: `agent:${agent}`,
    correlation: runId,
    fence: 17,
    sourceSeq: 42,
    timeMs: EXAMPLE_AT + 3 * SECOND,
  });

/** A report of a host, under its name. */
const hostReport = <Name extends ReportName>(name: Name, data: ReportData<Name>): EntryParts =>
  encodeReport(name, data, {
    agent: EXAMPLE_HOST,
    boundary,
    id: eventId,
    source: `/host/${EXAMPLE_HOST}`,
    actor: `host:${EXAMPLE_HOST}`,
    causation: commandId,
    sourceSeq: 42,
    timeMs: EXAMPLE_AT + 3 * SECOND,
  });

const exampleInstruction = <Name extends InstructionName>(
  name: Name,
  data: InstructionData<Name>,
): EntryParts =>
  encodeInstruction(name, data, {
    ...serviceMeta(EXAMPLE_AT),
    id: `${runId}:1:${name}`,
    target: name in HOST_INSTRUCTION_EXAMPLES ? EXAMPLE_HOST : agent,
  });

const exampleMail = (name: MailName): EntryParts =>
  encodeMail(name, MAIL_EXAMPLES[name], {
    ...serviceMeta(EXAMPLE_AT),
    id: name === 'sent' ? MAIL_EXAMPLES.sent.messageId : `${MAIL_EXAMPLES.sent.messageId}.${name}.${agent}`,
    source: '/service/mail',
    correlation: MAIL_EXAMPLES.sent.threadId,
  });

const deadLetter = (): EntryParts => {
  const origin = exampleReport('text', REPORT_EXAMPLES.text);
  const id = 'EVENTS:45:runs-reports';
  const parked = {
    reason: 'attempts-used-up',
    service: 'runs',
    parkedAt: EXAMPLE_AT + 60 * SECOND,
    entry: origin,
  };
  const { subject, headers } = buildDeadLetter(parked, id);
  const facts = {
    'Dead-Reason': 'attempts-used-up',
    'Dead-Code': 'UNEXPECTED_ERROR',
    'Dead-Message': 'cannot read properties of undefined',
    'Dead-Service': 'runs',
    'Dead-Consumer': 'runs-reports',
    'Dead-Attempts': '5',
    'Dead-Stream': 'EVENTS',
    'Dead-Seq': '45',
    'Dead-Subject': origin.subject,
    'Dead-Stored-At': String(EXAMPLE_AT + 4 * SECOND),
  };
  const originHeaders = Object.fromEntries(
    Object.entries({ 'Nats-Msg-Id': origin.id, ...origin.headers }).map(([name, value]) => [
      `Dead-Origin-${name}`,
      value,
    ]),
  );
  return { subject, id, headers: { ...facts, ...originHeaders, ...headers }, body: origin.body };
};

/** One entry of every type of the catalogue, as it would be stored. */
export const exampleEntries = (): readonly EntryParts[] => [
  ...Object.values(RUN_EXAMPLES).map((event) => encodeRunEvent(event, serviceMeta(EXAMPLE_AT))),
  ...Object.values(SESSION_EXAMPLES).map((event) => encodeSessionEvent(event, sessionMeta)),
  ...Object.values(TASK_EXAMPLES).map((event) => encodeTaskEvent(event, taskMeta(event.taskId))),
  ...Object.values(HOST_EXAMPLES).map((event) => encodeHostEvent(event, hostMeta(event.host))),
  ...Object.values(POLICY_EXAMPLES).map((event) => encodePolicyEvent(event, policyMeta(event.policy))),
  encodeAdmissionEvent(ADMISSION_EXAMPLE, taskMeta('fleet')),
  ...(Object.keys(REPORTS) as ReportName[]).map((name) =>
    (name in HOST_REPORTS ? hostReport : exampleReport)(name, ALL_REPORTS[name]),
  ),
  ...(Object.keys(ALL_INSTRUCTIONS) as InstructionName[]).map((name) =>
    exampleInstruction(name, ALL_INSTRUCTIONS[name]),
  ),
  ...(Object.keys(MAIL_EXAMPLES) as MailName[]).map(exampleMail),
  deadLetter(),
];
