// Handing tasks over: the tasks' own transitions and one grant on the admission's subject in ONE atomic append. The exception to "one
// decision, one append", with its reason: limits hold over all tasks, so what is given away must be fenced by all that was given away
// before. The grant's expected sequence does it: a dispatcher that has not seen the last grant is refused, and decides anew.
// The grant comes last in the batch: who has seen it has seen every hand-over of it. Does not know limits (see services/dispatch).
import { Fault } from '#libs/kernel/fault.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, NewEntry } from '#libs/ports/event-log.ts';
import { ok, refused, type Answer } from '#libs/service/request-answer.ts';
import { ADMISSION_ID, encodeAdmissionEvent, type AdmissionEvent } from '#streams/admission.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';
import { encodeTaskEvent } from '#streams/task-codec.ts';
import type { TaskRequestOf, TaskResultOf } from '#streams/task-requests.ts';
import type { TaskEvent } from '#streams/task.ts';
import { attemptId, metaOf, SOURCE, type TaskLog } from './task-log.ts';
import { taskDecider } from './task.decider.ts';
import type { TaskState } from './task-state.policy.ts';

interface Parts {
  readonly taskLog: TaskLog;
  /** The log of TRANSITIONS. */
  readonly log: EventLog;
  readonly clock: Clock;
}

type Asked = TaskRequestOf<'assign'>;
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
interface Going {
  readonly event: Assigned;
  readonly entry: NewEntry;
  /** Of the task's last transition before. */
  readonly afterSeq: number;
}

const ACTOR = 'service:dispatch';
/** Tries while the tasks themselves change (a cancel, say). */
const MOST_TRIES = 8;

export type Assign = (boundary: Boundary, request: Asked) => Promise<Answer<TaskResultOf<'assign'>>>;

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

const decideBy = (
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

const decideOne = async (
  { taskLog }: Parts,
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

const grantOf = (
  boundary: Boundary,
  { grantId, dispatcher, expectedSeq }: Asked,
  going: readonly Going[],
  now: number,
): NewEntry => {
  const event: AdmissionEvent = {
    type: 'fleetlog.admission.granted.v1',
    admissionId: ADMISSION_ID,
    dispatcher,
    grants: going.map(({ event: { taskId, attempt, agent, runId } }) => ({ taskId, attempt, agent, runId })),
    grantedAt: now,
  };
  const meta = { boundary, id: grantId, source: SOURCE, timeMs: now, actor: ACTOR };
  return { ...encodeAdmissionEvent(event, meta), expectedSeq };
};

/** The reactor that follows need not read them. */
const noteGoing = (
  { taskLog }: Parts,
  boundary: Boundary,
  going: readonly Going[],
  seqs: readonly number[],
): void => {
  for (const [at, { event, entry, afterSeq }] of going.entries()) {
    const target = { boundary, taskId: event.taskId, actor: ACTOR };
    const { id, body } = entry;
    void taskLog.noteAppended(target, {
      event,
      id,
      seq: seqs[at] ?? 0,
      afterSeq,
      bytes: body.byteLength,
    });
  }
};

/** One try; undefined when a task has moved meanwhile. */
const tryOnce = async (
  parts: Parts,
  boundary: Boundary,
  request: Asked,
  mayBeOld: boolean,
): Promise<Answer<TaskResultOf<'assign'>> | undefined> => {
  const now = parts.clock.now();
  const { grantId } = request;
  const wanted = [...new Map(request.grants.map((grant) => [grant.taskId, { ...grant, grantId }])).values()];
  const decided = await Promise.all(
    wanted.map((grant) => decideOne(parts, boundary, grant, { now, mayBeOld })),
  );
  const going = decided.flatMap((one) => one.going ?? []);
  const upToSeq = Math.max(...decided.map(({ seq }) => seq));
  if (going.length === 0) return ok({ granted: [], upToSeq });
  const outcome = await parts.log.appendTogether([
    ...going.map(({ entry }) => entry),
    grantOf(boundary, request, going, now),
  ]);
  if (outcome.kind === 'appended') {
    noteGoing(parts, boundary, going, outcome.seqs);
    return ok({ granted: going.map(({ event }) => event.taskId), upToSeq: outcome.seqs.at(-1) ?? upToSeq });
  }
  const { subject, actualSeq } = outcome;
  if (subject !== aggregateSubject(boundary, 'admission', ADMISSION_ID)) return undefined;
  const message = `another grant was made after ${request.expectedSeq}`;
  return refused(rejection('ADMISSION_SUPERSEDED', message, { actualSeq }));
};

/** Builds the operation. Faults: the log's, `COMMAND_CONTENDED` (now). */
export const createAssign =
  (parts: Parts): Assign =>
  async (boundary, request) => {
    for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
      const answer = await tryOnce(parts, boundary, request, tries === 1);
      if (answer !== undefined) return answer;
    }
    const message = `the tasks asked for changed ${MOST_TRIES} times in a row`;
    throw new Fault({ code: 'COMMAND_CONTENDED', retry: 'now', message });
  };
