// What a hand-over is made of: of each task asked for, whether it goes, and its entry; and the grant over all of them. Appends nothing.
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, NewEntry } from '#libs/ports/event-log.ts';
import { ADMISSION_ID, encodeAdmissionEvent, type AdmissionEvent } from '#streams/admission.ts';
import type { Boundary } from '#streams/subjects.ts';
import { encodeTaskEvent } from '#streams/task-codec.ts';
import type { TaskRequestOf } from '#streams/task-requests.ts';
import type { TaskEvent } from '#streams/task.ts';
import { attemptId, metaOf, SOURCE, type TaskLog } from './task-log.ts';
import { taskDecider } from './task.decider.ts';
import type { TaskState } from './task-state.policy.ts';

/** What hand-overs need. */
export interface HandOverParts {
  readonly taskLog: TaskLog;
  /** The log of TRANSITIONS. */
  readonly log: EventLog;
  readonly clock: Clock;
  /** Told of each hand-over that this instance stores, before it does, by the id of its entry; undefined: it was not stored. */
  readonly onHandingOver?: (causation: string, handedOver: Promise<HandedOver | undefined>) => void;
}

/** A hand-over that is on the log. */
interface HandedOver {
  readonly boundary: Boundary;
  readonly event: Assigned;
  /** Id of its entry. */
  readonly causation: string;
  readonly seq: number;
}

export type Asked = TaskRequestOf<'assign'>;
type Wanted = Asked['grants'][number] & { readonly grantId: string };
type Assigned = Extract<TaskEvent, { readonly type: 'fleetlog.task.assigned.v1' }>;

/** What became of one task that was asked for. */
interface Decided {
  /** Of the task's last transition. */
  readonly seq: number;
  /** Absent: it does not wait for this attempt, or cannot be read. */
  readonly going?: Going;
}

/** A task that goes. */
export interface Going {
  readonly event: Assigned;
  readonly entry: NewEntry;
  /** Of the task's last transition before. */
  readonly afterSeq: number;
}

export const ACTOR = 'service:dispatch';
const entryOf = (
  boundary: Boundary,
  event: Assigned,
  facts: { readonly seq: number; readonly causation: string },
): NewEntry => {
  const { taskId, attempt, assignedAt } = event;
  const target = { boundary, taskId, actor: ACTOR, causation: facts.causation };
  // The grant is part of the id: under one id for all of them, two dispatchers that hand over the same task would be no conflict but a batch
  // that is partly stored, which no log takes, and the slower one could not go on.
  const id = `${taskId}.assign.${attempt}.${facts.causation}`;
  const meta = metaOf(event, target, { id, now: assignedAt });
  return { ...encodeTaskEvent(event, meta), expectedSeq: facts.seq };
};

/** Whether a task goes, by its state at `seq`. */
export const decideBy = (
  boundary: Boundary,
  { grantId, taskId, attempt, agent }: Wanted,
  { state, seq }: { readonly state: TaskState; readonly seq: number },
  now: number,
): Decided => {
  const runId = attemptId('run', taskId, attempt);
  const newSessionId = attemptId('session', taskId, attempt);
  const decision = taskDecider.decide({ kind: 'assign', attempt, runId, newSessionId, agent }, state, {
    now,
  });
  if (decision.kind !== 'accepted' || decision.event.type !== 'fleetlog.task.assigned.v1') return { seq };
  const { event } = decision;
  const entry = entryOf(boundary, event, { seq, causation: grantId });
  return { seq, going: { event, entry, afterSeq: seq } };
};

/** Whether a task goes, by what is remembered of it or by its record. */
export const decideOne = async (
  { taskLog }: HandOverParts,
  boundary: Boundary,
  wanted: Wanted,
  { now, mayBeOld }: { readonly now: number; readonly mayBeOld: boolean },
): Promise<Decided> => {
  const target = { boundary, taskId: wanted.taskId, actor: ACTOR };
  try {
    // What is remembered may be old: that it goes is proven by the append; that it does not is looked at again.
    const remembered = mayBeOld ? taskLog.remembered(target) : undefined;
    const quickly = remembered && decideBy(boundary, wanted, remembered, now);
    if (quickly?.going !== undefined) return quickly;
    return decideBy(boundary, wanted, await taskLog.load(target), now);
  } catch (error) {
    // One task whose record cannot be read must not hold up the others: it is left out.
    if (error instanceof Fault && error.retry === 'never') return { seq: 0 };
    throw error;
  }
};

/** The grant, which says of a single task where it stands. */
export const grantOf = (
  boundary: Boundary,
  { grantId, dispatcher, expectedSeq }: Asked,
  going: readonly Going[],
  now: number,
): NewEntry => {
  const event: AdmissionEvent = {
    type: 'fleetlog.admission.granted.v1',
    admissionId: ADMISSION_ID,
    dispatcher,
    grants: going.map(({ event: { taskId, attempt, agent, runId }, afterSeq }) => ({
      taskId,
      attempt,
      agent,
      runId,
      ...(going.length === 1 && { taskSeq: afterSeq }),
    })),
    grantedAt: now,
  };
  const meta = { boundary, id: grantId, source: SOURCE, timeMs: now, actor: ACTOR };
  return { ...encodeAdmissionEvent(event, meta), expectedSeq };
};

/**
 * Takes note of what is being appended, before it is: its delivery may come with the answer of the append, or before it. `storing` gives the sequences,
 * undefined for what was not stored; then the reactor that follows need not read it.
 */
export const noteGoing = (
  { taskLog, onHandingOver = () => undefined }: HandOverParts,
  boundary: Boundary,
  going: readonly Going[],
  storing: Promise<readonly (number | undefined)[]>,
): void => {
  for (const [at, { event, entry, afterSeq }] of going.entries()) {
    const target = { boundary, taskId: event.taskId, actor: ACTOR };
    const { id, body } = entry;
    const noted = storing.then(async (seqs): Promise<HandedOver | undefined> => {
      const seq = seqs[at];
      if (seq === undefined) return undefined;
      await taskLog.noteAppended(target, { event, id, seq, afterSeq, bytes: body.byteLength });
      return { boundary, event, causation: id, seq };
    });
    noted.catch(() => undefined);
    onHandingOver(id, noted);
  }
};
