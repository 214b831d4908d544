// The reactor of the mail service: the end of a run that has a parent becomes one notice to it. The notice's id follows from the run,
// so a transition that comes again, at any later time, tells nobody twice (a crash costs a delivery, not a notice).
import { ok, type Handled } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import { MAIL_BODY_CHARACTERS } from '#streams/mail.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import type { RunCreated } from '#streams/run.ts';
import type { Boundary } from '#streams/subjects.ts';
import { derivedMessageId } from './derived-id.ts';
import type { MessageLog } from './message-log.ts';
import { noticeOfRunEnd, runEndOf, type RunEnd } from './notice.policy.ts';

/** A transition that ended its run. */
export interface EndedRun {
  readonly boundary: Boundary;
  readonly subject: string;
  /** Id of the transition. */
  readonly id: string;
  readonly end: RunEnd;
}

const unreadable = (why: string): Fault =>
  new Fault({ code: 'RUN_UNREADABLE', retry: 'never', message: why });

/** The transition of an entry; undefined for one that its run survived. Throws `RUN_UNREADABLE` (never). */
export const decodeRunEnd = (entry: StoredEntry): EndedRun | undefined => {
  const reading = decodeRunEvent(entry);
  if (reading.kind === 'problem') throw unreadable(reading.problem);
  if (reading.kind === 'unknown') return undefined;
  const { event, place, envelope } = reading;
  const end = runEndOf(event);
  if (end === undefined) return undefined;
  const boundary = { tenant: place.tenant, project: place.project };
  return { boundary, subject: entry.subject, id: envelope.id, end };
};

interface Parts {
  readonly messageLog: MessageLog;
  /** The log of TRANSITIONS. */
  readonly transitions: EventLog;
  readonly redactor: Redactor;
}

/** How the run was created: the first entry of its subject. */
const createdOf = async (transitions: EventLog, subject: string): Promise<RunCreated> => {
  for await (const entry of transitions.read(subject)) {
    const reading = decodeRunEvent(entry);
    if (reading.kind === 'known' && reading.event.type === 'fleetlog.run.created.v1') return reading.event;
    break;
  }
  throw unreadable(`${subject} does not begin with the creation of its run`);
};

/** Handles ends of runs; see libs/consumers for what becomes of its answers and faults. */
export const handleRunEnd =
  ({ messageLog, transitions, redactor }: Parts) =>
  async ({ boundary, subject, id, end }: EndedRun): Promise<Handled> => {
    const created = await createdOf(transitions, subject);
    const notice = noticeOfRunEnd(derivedMessageId(boundary, 'run-ended', end.runId), created, end);
    if (notice === undefined) return ok;
    const body = redactor.text(notice.body).value.slice(0, MAIL_BODY_CHARACTERS);
    const cause = { boundary, actor: 'service:mail', causation: id, correlation: end.runId };
    const outcome = await messageLog.send({ ...notice, body }, cause);
    if (outcome.kind === 'stored') return ok;
    throw new Fault({
      code: 'NOTICE_CONFLICTED',
      retry: 'never',
      message: `the id of the notice about ${end.runId} is another message already`,
    });
  };
