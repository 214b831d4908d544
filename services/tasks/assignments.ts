// Handing tasks over: the tasks' own transitions and one grant on the admission's subject in ONE atomic append. The exception to "one
// decision, one append", with its reason: limits hold over all tasks, so what is given away must be fenced by all that was given away
// before. The grant's expected sequence does it: a dispatcher that has not seen the last grant is refused, and decides anew.
// The grant comes last in the batch: who has seen it has seen every hand-over of it. Does not know limits (see services/dispatch).
import { Fault } from '#libs/kernel/fault.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, NewEntry } from '#libs/ports/event-log.ts';
import { ADMISSION_ID, encodeAdmissionEvent, type AdmissionEvent } from '#streams/admission.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';
import { encodeTaskEvent } from '#streams/task-codec.ts';
import type { TaskRequestOf, TaskResultOf } from '#streams/task-requests.ts';
import type { TaskEvent } from '#streams/task.ts';
import { ok, refused, type Answer } from './answer.ts';
import { attemptId, metaOf, SOURCE, type TaskLog } from './task-log.ts';
import { taskDecider } from './task.decider.ts';

interface Parts {
  readonly taskLog: TaskLog;
  /** The log of TRANSITIONS. */
  readonly log: EventLog;
  readonly clock: Clock;
}

type Asked = TaskRequestOf<'assign'>;
type Assigned = Extract<TaskEvent, { readonly type: 'fleetlog.task.assigned.v1' }>;

/** What became of one task that was asked for. */
interface Decided {
  /** Of the task's last transition. */
  readonly seq: number;
  readonly event: Assigned | undefined;
}

/** A task that goes. */
interface Going {
  readonly seq: number;
  readonly event: Assigned;
}

const ACTOR = 'service:dispatch';
/** Tries while the tasks themselves change (a cancel, say). */
const MOST_TRIES = 8;

export type Assign = (boundary: Boundary, request: Asked) => Promise<Answer<TaskResultOf<'assign'>>>;

const decideOne = async (
  { taskLog }: Parts,
  boundary: Boundary,
  { taskId, attempt, agent }: Asked['grants'][number],
  now: number,
): Promise<Decided> => {
  const { state, seq } = await taskLog.load({ boundary, taskId, actor: ACTOR });
  const runId = attemptId('run', taskId, attempt);
  const newSessionId = attemptId('session', taskId, attempt);
  const decision = taskDecider.decide({ kind: 'assign', attempt, runId, newSessionId, agent }, state, {
    now,
  });
  const isAssigned = decision.kind === 'accepted' && decision.event.type === 'fleetlog.task.assigned.v1';
  return { seq, event: isAssigned ? decision.event : undefined };
};

const entryOf = (boundary: Boundary, { event, seq }: Going, causation: string): NewEntry => {
  const { taskId, attempt, assignedAt } = event;
  const target = { boundary, taskId, actor: ACTOR, causation };
  const meta = metaOf(event, target, { id: `${taskId}.assign.${attempt}`, now: assignedAt });
  return { ...encodeTaskEvent(event, meta), expectedSeq: seq };
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

/** One try; undefined when a task has moved meanwhile. */
const tryOnce = async (
  parts: Parts,
  boundary: Boundary,
  request: Asked,
): Promise<Answer<TaskResultOf<'assign'>> | undefined> => {
  const now = parts.clock.now();
  const wanted = [...new Map(request.grants.map((grant) => [grant.taskId, grant])).values()];
  const decided = await Promise.all(wanted.map((grant) => decideOne(parts, boundary, grant, now)));
  const going = decided.flatMap(({ event, seq }): Going[] => (event === undefined ? [] : [{ event, seq }]));
  const upToSeq = Math.max(...decided.map(({ seq }) => seq));
  if (going.length === 0) return ok({ granted: [], upToSeq });
  const outcome = await parts.log.appendTogether([
    ...going.map((one) => entryOf(boundary, one, request.grantId)),
    grantOf(boundary, request, going, now),
  ]);
  if (outcome.kind === 'appended')
    return ok({ granted: going.map(({ event }) => event.taskId), upToSeq: outcome.seqs.at(-1) ?? upToSeq });
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
      const answer = await tryOnce(parts, boundary, request);
      if (answer !== undefined) return answer;
    }
    const message = `the tasks asked for changed ${MOST_TRIES} times in a row`;
    throw new Fault({ code: 'COMMAND_CONTENDED', retry: 'now', message });
  };
