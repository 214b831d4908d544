// The reactor of the tasks service: a hand-over causes a run, a cancel or recall ends it. The run of an attempt has an id that
// follows from task and number, so a transition that comes again, or to two instances, causes one run. What the run does then comes
// back as news (run-news.ts); here nothing waits for it.
import { createAhead } from '#libs/commands/ahead.ts';
import { ok, type Handled } from '#libs/consumers/disposition.ts';
import { Fault, toFault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { RUN_REQUESTS, type RunRequestOf } from '#streams/run-requests.ts';
import { requestSubject, type Boundary } from '#streams/subjects.ts';
import { decodeTaskEvent } from '#streams/task-codec.ts';
import type { TaskEvent } from '#streams/task.ts';
import type { TaskLog, TaskTarget } from './task-log.ts';
import type { Attempt, Task } from './task-state.policy.ts';

const REACTS_TO = [
  'fleetlog.task.assigned.v1',
  'fleetlog.task.cancel-requested.v1',
  'fleetlog.task.recalled.v1',
] as const;

/** A transition that causes something to be done to the run of an attempt. */
export interface AttemptTransition {
  readonly boundary: Boundary;
  readonly event: Extract<TaskEvent, { readonly type: (typeof REACTS_TO)[number] }>;
  readonly causation: string;
  /** Where it stands. */
  readonly seq: number;
}

const unreadable = (message: string): Fault =>
  new Fault({ code: 'TASK_UNREADABLE', retry: 'never', message });

/** The transition of an entry; undefined for one that causes nothing. Throws `TASK_UNREADABLE` (never). */
export const decodeAttemptTransition = (entry: StoredEntry): AttemptTransition | undefined => {
  const reading = decodeTaskEvent(entry);
  if (reading.kind === 'problem') throw unreadable(reading.problem);
  if (reading.kind === 'unknown') return undefined;
  const { event, envelope, place } = reading;
  if (!(REACTS_TO as readonly string[]).includes(event.type)) return undefined;
  const boundary = { tenant: place.tenant, project: place.project };
  return { boundary, event: event as AttemptTransition['event'], causation: envelope.id, seq: entry.seq };
};

interface Parts {
  readonly taskLog: TaskLog;
  readonly requests: RequestClient;
  /** How long the owner of runs may take to answer. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

const ACTOR = 'service:tasks';

/** Faults by which the owner of runs says that such a run will never be. */
const HOPELESS = new Set(['REQUEST_INVALID', 'REQUEST_TOO_LARGE', 'ENTRY_INVALID']);

/**
 * One claim a run: a lost runner ends the run, and whether the task is tried again, with which agent, is the task's and
 * dispatch's business.
 */
const runRequestOf = (
  { created }: Task,
  { attempt, runId, sessionId, agent }: Attempt & { readonly attempt: number },
): RunRequestOf<'create'> => ({
  runId,
  sessionId,
  agent,
  provider: created.provider,
  title: created.title,
  request: created.request,
  replay: 'fail',
  maxAttempts: 1,
  leaseMs: created.leaseMs,
  task: { taskId: created.taskId, attempt },
  // A session of its own; one that the task names has to be there, and its agent's.
  ...(created.sessionId === null && { mayOpenSession: true }),
  ...(created.createdBy !== undefined && { startedBy: created.createdBy }),
  actor: ACTOR,
});

/** Asks the runs service. Faults: those of the requests port, those that it answers with; the consumer tries again. */
const askRuns = async <Op extends 'create' | 'cancel'>(
  { requests, timeoutMs }: Parts,
  boundary: Boundary,
  operation: Op,
  request: RunRequestOf<Op>,
) => {
  const answer = await askRequest(requests, {
    subject: requestSubject(boundary, 'runs', operation),
    request,
    answer: RUN_REQUESTS[operation].answer,
    timeoutMs,
  });
  if (answer.outcome !== 'fault') return answer;
  const { code, retry, message } = answer;
  throw new Fault({ code, retry, message });
};

/** Why the run cannot be; undefined when it is there. */
const begin = async (
  parts: Parts,
  boundary: Boundary,
  request: RunRequestOf<'create'>,
): Promise<string | undefined> => {
  try {
    const answer = await askRuns(parts, boundary, 'create', request);
    return answer.outcome === 'ok' ? undefined : `${answer.code}: ${answer.message}`;
  } catch (error) {
    const { code, message } = toFault(error);
    if (HOPELESS.has(code)) return `${code}: ${message}`;
    throw error;
  }
};

export interface Attempts {
  /** As the handler of a consumer. */
  handle(transition: AttemptTransition): Promise<Handled>;
  /**
   * Begins the run of a hand-over, named by its `causation`, as soon as it is stored (undefined: it is not), without waiting for its delivery, which
   * finds it begun. Never throws: what fails is left to that.
   */
  beginSoon(causation: string, stored: Promise<AttemptTransition | undefined>): void;
}

export const createAttempts = (parts: Parts): Attempts => {
  const { taskLog, clock } = parts;
  const ahead = createAhead();

  const giveUp = async (
    target: TaskTarget,
    at: { readonly attempt: number; readonly runId: string },
    why: string,
  ) => {
    const end = {
      outcome: 'failed' as const,
      failure: {
        kind: 'infra-failed' as const,
        message: `its run could not be created: ${why}`.slice(0, 4000),
      },
      summary: '',
      endedAt: clock.now(),
    };
    return taskLog.handle(target, { kind: 'end', ...at, end }, { id: `${target.taskId}.end.${at.attempt}` });
  };

  const carryOut = async ({ boundary, event, causation, seq }: AttemptTransition): Promise<Handled> => {
    const { taskId, attempt, runId } = event;
    const target = { boundary, taskId, actor: ACTOR, causation };
    const remembered = taskLog.remembered(target);
    // What comes after this transition comes here, too.
    const hasSeenIt = remembered !== undefined && remembered.seq >= seq;
    const { state: task } = hasSeenIt ? remembered : await taskLog.load(target);
    const named = task?.attempts[attempt - 1];
    if (task === undefined || named === undefined)
      throw unreadable(`task ${taskId} has a transition about attempt ${attempt}, which never was`);
    // It is over: there is nothing to begin or to end.
    if (named.outcome !== null) return ok;
    const why = await begin(parts, boundary, runRequestOf(task, { ...named, attempt }));
    if (why !== undefined) return giveUp(target, { attempt, runId }, why);
    // The run is there in any case by now, whichever of the transitions came first: it can be cancelled.
    if (event.type !== 'fleetlog.task.assigned.v1')
      await askRuns(parts, boundary, 'cancel', { runId, reason: event.reason, actor: ACTOR });
    return ok;
  };

  return {
    handle: async (transition) => ((await ahead.take(transition.causation)) ? ok : carryOut(transition)),
    beginSoon: (causation, stored) =>
      ahead.note(
        causation,
        stored.then((transition): unknown => (transition === undefined ? false : carryOut(transition))),
      ),
  };
};
