// Every event of the system in one table, and the one function that reads any entry by it: for readers of whole streams
// (gateway, CLI, audit, projections). A type that is not in the table is kept as `unknown`, never dropped.
import { z } from 'zod';
import {
  admissionEventSchema,
  isAdmissionEventType,
  decodeAdmissionEvent,
  type AdmissionEvent,
  type AdmissionEventType,
} from './admission.ts';
import { DEAD_LETTER_TYPE, deadLetterSchema, readLetter, type DeadLetterData } from './dead-letters.ts';
import {
  openEntry,
  parseJson,
  type EntryLike,
  type OpenEntry,
  type ProblemEntry,
  type Reading,
  type UnknownEntry,
} from './entry.ts';
import { isHostEventType, decodeHostEvent } from './host-codec.ts';
import { HOST_EVENT_MEANS, hostEventSchema, type HostEvent, type HostEventType } from './host.ts';
import { readInstruction, instructionNameOf, type Instruction } from './instruction-codec.ts';
import { INSTRUCTIONS } from './instructions.ts';
import { readReport, reportNameOf, type Report } from './report-codec.ts';
import { MAIL } from './mail.ts';
import { mailNameOf, readMail, type MailEvent } from './mail-codec.ts';
import { isPolicyEventType, decodePolicyEvent } from './policy-codec.ts';
import { POLICY_EVENT_MEANS, policyEventSchema, type PolicyEvent, type PolicyEventType } from './policy.ts';
import { REPORTS } from './reports.ts';
import { decodeRunEvent, isRunEventType, type RunEventType } from './run-codec.ts';
import { runEventSchema, type RunEvent } from './run.ts';
import { isSessionEventType, decodeSessionEvent, type SessionEventType } from './session-codec.ts';
import { sessionEventSchema, type SessionEvent } from './session.ts';
import { isTaskEventType, decodeTaskEvent, type TaskEventType } from './task-codec.ts';
import { taskEventSchema, type TaskEvent } from './task.ts';

/** One type of event: where it is found, what its body holds, what it means. */
export interface CatalogueEntry {
  /** `ce-type`. */
  readonly type: string;
  /** The number at the end of the type. */
  readonly version: number;
  readonly stream: 'EVENTS' | 'COMMANDS' | 'TRANSITIONS' | 'MESSAGES' | 'DEADLETTERS';
  readonly family:
    | 'run'
    | 'session'
    | 'task'
    | 'host'
    | 'policy'
    | 'admission'
    | 'evt'
    | 'cmd'
    | 'msg'
    | 'dead';
  /** Last token of the subject; null where the subject ends with the aggregate's id, or the token says something else. */
  readonly subjectType: string | null;
  /** Schema of the JSON body. */
  readonly schema: z.ZodType;
  readonly means: string;
}

const RUN_EVENT_MEANS: Readonly<Record<RunEventType, string>> = {
  'fleetlog.run.created.v1': 'A piece of work was asked for and is queued; holds the whole request.',
  'fleetlog.run.claimed.v1': 'A runner took the run under a lease; `fence` is what its reports must carry.',
  'fleetlog.run.turn-started.v1': 'The provider runs.',
  'fleetlog.run.lease-expired.v1':
    'The runner was not heard of in time; `next` says what becomes of the run.',
  'fleetlog.run.cancel-requested.v1': 'Someone asked to cancel while a runner held the run.',
  'fleetlog.run.approval-asked.v1':
    'The run waits for a person to allow one call. Parked: no runner holds it any more.',
  'fleetlog.run.approval-counted.v1':
    'One of several people that a call needs has approved it; `stillNeeded` are missing, and it still waits.',
  'fleetlog.run.approval-answered.v1':
    'The question is settled; `commandId` goes on with a parked run, a held one goes on by itself.',
  'fleetlog.run.completed.v1':
    'The turn ended well; `result.outcome` tells done from yielded (not done, waiting for something). Final.',
  'fleetlog.run.blocked.v1': 'The agent says that it cannot go on; `reason` says why. Final.',
  'fleetlog.run.failed.v1': 'The work failed; `failure` says how. Final.',
  'fleetlog.run.cancelled.v1': 'The run was cancelled. Final.',
  'fleetlog.run.turn-finished.v1':
    'A turn is over and the run goes on: `turnCommandId` is the next turn, started with `commandId`.',
  'fleetlog.run.command-created.v1':
    'Somebody told the run something: a further turn, words to the running one, or to interrupt it.',
  'fleetlog.run.command-acknowledged.v1': 'The runner has passed the command on to its program.',
  'fleetlog.run.command-finished.v1':
    'The command came to its end before its turn did; `deferred`: its words wait for the next turn.',
  'fleetlog.run.command-cancelled.v1': 'The command was taken back before anybody was told of it.',
};

const SESSION_EVENT_MEANS: Readonly<Record<SessionEventType, string>> = {
  'fleetlog.session.opened.v1':
    'A conversation of an agent began: with its first run, or because somebody made it. Whose it is never changes.',
  'fleetlog.session.updated.v1':
    'Title, metadata, conversation, the program’s own id or expiry changed; holds what changed and nothing else.',
  'fleetlog.session.stored.v1': 'Its keeper says where what the session wrote is kept.',
  'fleetlog.session.eviction-asked.v1':
    'The storage named is to be given up, unless a run created before this has not ended.',
  'fleetlog.session.eviction-refused.v1': 'The storage stays: runs were under way when it was asked for.',
  'fleetlog.session.evicted.v1': 'The storage named is given up; its keeper removes it.',
};

const TASK_EVENT_MEANS: Readonly<Record<TaskEventType, string>> = {
  'fleetlog.task.created.v1': 'An item was put in a queue; holds the whole order.',
  'fleetlog.task.assigned.v1':
    'The task was handed to an agent; a run of that id follows. Appended in one batch with the grant.',
  'fleetlog.task.started.v1': 'A runner has taken the run of the attempt.',
  'fleetlog.task.recalled.v1':
    'The runner went away before it began; the run is cancelled, and the task waits again.',
  'fleetlog.task.requeued.v1': 'The attempt is over and the task waits for another one, in its old place.',
  'fleetlog.task.cancel-requested.v1':
    'Someone asked to cancel while an attempt was under way; its run is cancelled.',
  'fleetlog.task.completed.v1': 'The work is done. Final.',
  'fleetlog.task.failed.v1': 'The last attempt failed; `failure` says how. Only a retry leads out.',
  'fleetlog.task.blocked.v1': 'The agent cannot go on by itself; `reason` says why. Only a retry leads out.',
  'fleetlog.task.cancelled.v1': 'The task was cancelled. Only a retry leads out.',
  'fleetlog.task.retried.v1':
    'Someone asked for a further attempt; the task waits at the end of its priority.',
};

const ADMISSION_EVENT_MEANS: Readonly<Record<AdmissionEventType, string>> = {
  'fleetlog.admission.granted.v1':
    'Tasks were handed to agents, within all limits; in one batch with their `assigned`.',
};

const versionOf = (type: string): number => Number(/\.v(\d+)$/.exec(type)?.[1]);

/** The events of an aggregate. */
const aggregateEntries = <Type extends string>(
  family: 'run' | 'session' | 'task' | 'host' | 'policy' | 'admission',
  options: readonly { readonly shape: z.ZodRawShape & { readonly type: z.ZodLiteral<Type> } }[],
  means: Readonly<Record<Type, string>>,
): readonly CatalogueEntry[] =>
  options.map(({ shape }) => {
    const type = shape.type.value;
    return {
      type,
      version: versionOf(type),
      stream: 'TRANSITIONS',
      family,
      subjectType: null,
      schema: z.object(shape as z.ZodRawShape).omit({ type: true }),
      means: means[type],
    };
  });

type Row = readonly [string, { readonly type: string; readonly schema: z.ZodType; readonly means: string }];

const typedEntry =
  (stream: 'EVENTS' | 'COMMANDS' | 'MESSAGES', family: 'evt' | 'cmd' | 'msg') =>
  ([subjectType, { type, schema, means }]: Row): CatalogueEntry => ({
    type,
    version: versionOf(type),
    stream,
    family,
    subjectType,
    schema,
    means,
  });

/** Every event type of this version, by stream. */
export const CATALOGUE: readonly CatalogueEntry[] = [
  ...aggregateEntries('run', runEventSchema.options, RUN_EVENT_MEANS),
  ...aggregateEntries('session', sessionEventSchema.options, SESSION_EVENT_MEANS),
  ...aggregateEntries('task', taskEventSchema.options, TASK_EVENT_MEANS),
  ...aggregateEntries('host', hostEventSchema.options, HOST_EVENT_MEANS),
  ...aggregateEntries('policy', policyEventSchema.options, POLICY_EVENT_MEANS),
  ...aggregateEntries('admission', admissionEventSchema.options, ADMISSION_EVENT_MEANS),
  ...Object.entries(REPORTS).map(typedEntry('EVENTS', 'evt')),
  ...Object.entries(INSTRUCTIONS).map(typedEntry('COMMANDS', 'cmd')),
  ...Object.entries(MAIL).map(typedEntry('MESSAGES', 'msg')),
  {
    type: DEAD_LETTER_TYPE,
    version: versionOf(DEAD_LETTER_TYPE),
    stream: 'DEADLETTERS',
    family: 'dead',
    subjectType: null,
    schema: deadLetterSchema,
    means: 'An entry could not be processed: why, where it came from, and its original headers and body.',
  },
];

const BY_TYPE: ReadonlyMap<string, CatalogueEntry> = new Map(CATALOGUE.map((entry) => [entry.type, entry]));

/** The catalogue's entry of a `ce-type`, or undefined. */
export const catalogueEntryOf = (type: string): CatalogueEntry | undefined => BY_TYPE.get(type);

/** Any entry, read. `data` is the body in every kind; in `run`, `session`, `report`, `instruction` and `mail` it is typed by `type` or `name`. */
export type EntryReading =
  | (OpenEntry & { readonly kind: 'run'; readonly type: RunEventType; readonly data: RunEvent })
  | (OpenEntry & { readonly kind: 'session'; readonly type: SessionEventType; readonly data: SessionEvent })
  | (OpenEntry & { readonly kind: 'task'; readonly type: TaskEventType; readonly data: TaskEvent })
  | (OpenEntry & { readonly kind: 'host'; readonly type: HostEventType; readonly data: HostEvent })
  | (OpenEntry & { readonly kind: 'policy'; readonly type: PolicyEventType; readonly data: PolicyEvent })
  | (OpenEntry & {
      readonly kind: 'admission';
      readonly type: AdmissionEventType;
      readonly data: AdmissionEvent;
    })
  | (OpenEntry & { readonly kind: 'report'; readonly type: string } & Report)
  | (OpenEntry & { readonly kind: 'instruction'; readonly type: string } & Instruction)
  | (OpenEntry & { readonly kind: 'mail'; readonly type: string } & MailEvent)
  | (OpenEntry & { readonly kind: 'dead-letter'; readonly type: string; readonly data: DeadLetterData })
  /** A type of a newer version, or of a family that has no codec yet. `data` is undefined when the body is not JSON. */
  | (OpenEntry & { readonly kind: 'unknown'; readonly type: string; readonly data: unknown })
  | ProblemEntry;

/** A reading of an aggregate's codec as one of any entry. */
const transition = <Kind extends string, Type extends string, Event>(
  kind: Kind,
  type: Type,
  read: Reading<{ readonly event: Event }>,
  entry: EntryLike,
) => {
  if (read.kind !== 'known') return kept(read, entry);
  const { envelope, place, event } = read;
  return { envelope, place, kind, type, data: event };
};

/**
 * A transition of an aggregate; undefined when its type is none. By the codecs' own `decode`: who follows whole streams in a service shares the
 * readings of its projections and reactors.
 */
const readTransition = (entry: EntryLike): EntryReading | undefined => {
  const type = entry.headers['ce-type'] ?? '';
  if (isRunEventType(type)) return transition('run', type, decodeRunEvent(entry), entry);
  if (isSessionEventType(type)) return transition('session', type, decodeSessionEvent(entry), entry);
  if (isTaskEventType(type)) return transition('task', type, decodeTaskEvent(entry), entry);
  if (isHostEventType(type)) return transition('host', type, decodeHostEvent(entry), entry);
  if (isPolicyEventType(type)) return transition('policy', type, decodePolicyEvent(entry), entry);
  if (isAdmissionEventType(type)) return transition('admission', type, decodeAdmissionEvent(entry), entry);
  return undefined;
};

/** A report, an instruction or mail; undefined when its type is none. */
const readTyped = (opened: OpenEntry, entry: EntryLike): EntryReading | undefined => {
  const { type } = opened.envelope;
  if (reportNameOf(type) !== undefined) {
    const read = readReport(opened, entry);
    return read.kind === 'known' ? { ...read, type, kind: 'report' } : kept(read, entry);
  }
  if (instructionNameOf(type) !== undefined) {
    const read = readInstruction(opened, entry);
    return read.kind === 'known' ? { ...read, type, kind: 'instruction' } : kept(read, entry);
  }
  if (mailNameOf(type) === undefined) return undefined;
  const read = readMail(opened, entry);
  return read.kind === 'known' ? { ...read, type, kind: 'mail' } : kept(read, entry);
};

/**
 * Reads any entry of any stream by its `ce-type`. Total: never throws. A known type on the wrong family of subjects, or with a
 * body that breaks its schema, is a `problem`; an unknown type is kept with its JSON.
 */
export const readEntry = (entry: EntryLike): EntryReading => {
  const changed = readTransition(entry);
  if (changed !== undefined) return changed;
  const opened = openEntry(entry);
  if (opened.kind === 'problem') return opened;
  const { envelope, place } = opened;
  const { type } = envelope;
  if (type === DEAD_LETTER_TYPE) {
    const read = readLetter(opened, entry);
    return read.kind === 'known'
      ? { envelope, place, type, kind: 'dead-letter', data: read.letter }
      : kept(read, entry);
  }
  const unknown = (): EntryReading => kept({ envelope, place, type, kind: 'unknown' }, entry);
  return readTyped(opened, entry) ?? unknown();
};

const kept = (read: UnknownEntry | ProblemEntry, entry: EntryLike): EntryReading =>
  read.kind === 'problem' ? read : { ...read, data: parseJson(entry.body) };
