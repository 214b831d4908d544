// What a dispatcher knows of one tenant and project, folded from summaries and then from the log, entry by entry: who waits, what
// is under way, which slots are taken, and the last grant. Deterministic, no I/O. Takes each entry once, in the
// order of the log: leaving out what a summary has seen is the caller's. Holds nothing of tasks and runs that have ended.
import type { Granted } from '#streams/admission.ts';
import type { RunEvent } from '#streams/run.ts';
import type { TaskView } from '#streams/task-view.ts';
import type { TaskCreated, TaskEvent } from '#streams/task.ts';
import type { Situation } from './dispatch.policy.ts';
import { noUsage } from './limits.policy.ts';
import { noRunners } from './runners.policy.ts';
import { nobodyWaits, type Demand, type WaitingTask } from './waiting.policy.ts';

/** A task that was handed over and has not ended. */
export interface ActiveTask {
  readonly task: WaitingTask;
  readonly attempt: number;
  readonly runId: string;
  readonly agent: string;
  /** A runner has taken its run, or it is being ended: it is not taken back any more. */
  readonly isBegun: boolean;
}

/** What is needed of a summary. */
type RestoredFields =
  | 'taskId'
  | 'queue'
  | 'lane'
  | 'priority'
  | 'provider'
  | 'agent'
  | 'labels'
  | 'state'
  | 'attempts'
  | 'attemptCount'
  | 'queuedSeq'
  | 'endedAt';

export type RetriedTask = Extract<TaskEvent, { readonly type: 'fleetlog.task.retried.v1' }>;

/** No more of a task than a decision needs. */
const waitingTask = (
  asked: Demand & { readonly taskId: string; readonly priority: number },
  place: { readonly queuedSeq: number; readonly attempt: number },
): WaitingTask => {
  const { taskId, queue, lane, provider, agent, labels, priority } = asked;
  return { taskId, queue, lane, provider, agent, labels, priority, ...place };
};

type Known =
  | {
      readonly kind: 'waiting';
      readonly task: WaitingTask;
      /** Its last transition. */
      readonly seq: number;
    }
  | ({ readonly kind: 'active' } & ActiveTask);

const ENDED_RUN: ReadonlySet<RunEvent['type']> = new Set([
  'fleetlog.run.completed.v1',
  'fleetlog.run.blocked.v1',
  'fleetlog.run.failed.v1',
  'fleetlog.run.cancelled.v1',
]);

type RunFailure = Extract<RunEvent, { readonly type: 'fleetlog.run.failed.v1' }>['failure'];

/** True for the transition after which a run takes no slot. */
export const endsRun = (event: RunEvent): boolean =>
  ENDED_RUN.has(event.type) || (event.type === 'fleetlog.run.lease-expired.v1' && event.next !== 'queued');

/** Its runner has done what it was given, well or badly. */
const showsFitness = (event: RunEvent): boolean =>
  event.type === 'fleetlog.run.completed.v1' ||
  event.type === 'fleetlog.run.blocked.v1' ||
  (event.type === 'fleetlog.run.failed.v1' &&
    event.failure.unfit !== true &&
    event.failure.kind === 'provider-failed');

export class Board implements Situation {
  readonly waiting = nobodyWaits();
  readonly runners = noRunners();
  readonly usage = noUsage();
  /** Sequence of the last grant that was seen; 0: none. */
  admissionSeq = 0;
  readonly #known = new Map<string, Known>();
  /** Runs that have not ended, and what they use. */
  readonly #runs = new Map<string, { readonly agent: string; readonly provider: string }>();

  /** What is under way. */
  *active(): Iterable<ActiveTask> {
    for (const known of this.#known.values()) if (known.kind === 'active') yield known;
  }

  /** Takes a task up from its summary; one that has ended is passed over. */
  restoreTask(view: Pick<TaskView, RestoredFields>, seq: number): void {
    const task = waitingTask(view, { queuedSeq: view.queuedSeq, attempt: view.attemptCount + 1 });
    const last = view.attempts.at(-1);
    if (view.state === 'pending') this.#wait(task, seq);
    else if (view.endedAt === null && last !== undefined)
      this.#begin(task, { ...last, isBegun: view.state !== 'assigned' || last.recalled !== null });
  }

  /** Whether it waits or is under way. Of one that has ended a retry is not enough: see {@link applyRetry}. */
  knows(taskId: string): boolean {
    return this.#known.has(taskId);
  }

  /** Takes a task that waits for this attempt out of the queue, until something happens to it; false when it does not wait so. */
  setAside(taskId: string, attempt: number): boolean {
    const known = this.#known.get(taskId);
    if (known?.kind !== 'waiting' || known.task.attempt !== attempt) return false;
    this.waiting.remove(known.task);
    return true;
  }

  applyTask(event: TaskEvent, seq: number): void {
    const known = this.#known.get(event.taskId);
    if (event.type === 'fleetlog.task.created.v1') {
      if (known === undefined) this.#wait(waitingTask(event, { queuedSeq: seq, attempt: 1 }), seq);
      return;
    }
    if (known === undefined) return;
    this.#change(known, event, seq);
  }

  /** A task that had ended waits again: what it asks for is in its first transition. */
  applyRetry(created: TaskCreated, retry: RetriedTask, seq: number): void {
    if (this.knows(created.taskId)) return;
    this.#wait(waitingTask(created, { queuedSeq: seq, attempt: retry.attempts + 1 }), seq);
  }

  /** A run that has not ended. */
  restoreRun(run: { readonly runId: string; readonly agent: string; readonly provider: string }): void {
    const { runId, agent, provider } = run;
    this.#runs.set(runId, { agent, provider });
    this.runners.take(agent, runId);
  }

  applyRun(event: RunEvent): void {
    if (event.type === 'fleetlog.run.created.v1') return this.restoreRun(event);
    if (!endsRun(event)) return;
    const run = this.#runs.get(event.runId);
    if (run !== undefined && showsFitness(event)) this.runners.unfit.worked(run.agent, run.provider);
    this.#runs.delete(event.runId);
    this.runners.free(event.runId);
    if (run !== undefined && event.type === 'fleetlog.run.failed.v1')
      this.noteFailure(run, event.failure, event.endedAt);
  }

  /** A run failed: a used-up quota is waited for, and a runner that could not begin it gets nothing for a while. */
  noteFailure(
    { agent, provider }: { readonly agent: string; readonly provider: string },
    { kind, retryAt, unfit, message }: RunFailure,
    endedAt: number,
  ): void {
    if (unfit === true) this.runners.unfit.failed(agent, provider, { atMs: endedAt, why: message });
    if (kind === 'provider-limited' && retryAt !== undefined)
      this.runners.pauses.pause(agent, provider, retryAt);
  }

  /** A task that is granted where it stands has its share and its slot from now on; its own transition follows, unless it has gone on otherwise. */
  applyGrant(seq: number, grants: readonly Granted[] = []): void {
    this.admissionSeq = Math.max(this.admissionSeq, seq);
    for (const { taskId, attempt, agent, runId, taskSeq } of grants) {
      const known = this.#known.get(taskId);
      if (known?.kind !== 'waiting' || known.seq !== taskSeq) continue;
      this.#leave(known);
      this.#begin(known.task, { attempt, agent, runId, isBegun: false });
    }
  }

  #change(
    known: Known,
    event: Exclude<TaskEvent, { readonly type: 'fleetlog.task.created.v1' }>,
    seq: number,
  ): void {
    switch (event.type) {
      case 'fleetlog.task.assigned.v1':
        this.#leave(known);
        return this.#begin(known.task, { ...event, isBegun: false });
      case 'fleetlog.task.started.v1':
      case 'fleetlog.task.recalled.v1':
      case 'fleetlog.task.cancel-requested.v1':
        if (known.kind === 'active') this.#known.set(event.taskId, { ...known, isBegun: true });
        return;
      case 'fleetlog.task.requeued.v1':
        this.#leave(known);
        return this.#wait({ ...known.task, attempt: event.attempt + 1 }, seq);
      case 'fleetlog.task.completed.v1':
      case 'fleetlog.task.failed.v1':
      case 'fleetlog.task.blocked.v1':
      case 'fleetlog.task.cancelled.v1':
        return this.#leave(known);
      case 'fleetlog.task.retried.v1':
        return;
    }
  }

  #wait(task: WaitingTask, seq: number): void {
    this.#known.set(task.taskId, { kind: 'waiting', task, seq });
    this.waiting.add(task);
  }

  #begin(task: WaitingTask, active: Omit<ActiveTask, 'task'>): void {
    const { attempt, runId, agent, isBegun } = active;
    this.#known.set(task.taskId, { kind: 'active', task, attempt, runId, agent, isBegun });
    this.usage.add(task, 1);
    this.runners.take(agent, runId);
  }

  /** Out of the queue, or its share given back. */
  #leave(known: Known): void {
    this.#known.delete(known.task.taskId);
    if (known.kind === 'waiting') return this.waiting.remove(known.task);
    this.usage.add(known.task, -1);
    this.runners.free(known.runId);
  }
}
