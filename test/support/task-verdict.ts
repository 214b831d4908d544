// Judges the record of a fleet: walks TRANSITIONS from its beginning and names every law of tasks that was broken on the way.
import { fold } from '#libs/kernel/decider.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { Ports } from '#libs/service/context.ts';
import { endsRun } from '#services/dispatch/board.policy.ts';
import { isActive } from '#services/tasks/task-state.policy.ts';
import { taskDecider } from '#services/tasks/task.decider.ts';
import { foldTask, type TaskSummary } from '#services/tasks/task.view.ts';
import type { AdmissionEvent, Granted } from '#streams/admission.ts';
import { viewKey } from '#streams/buckets.ts';
import { readEntry } from '#streams/catalogue.ts';
import { parseJson } from '#streams/entry.ts';
import type { RunEvent } from '#streams/run.ts';
import { compareRank } from '#streams/task-order.ts';
import type { TaskCreated, TaskEvent } from '#streams/task.ts';
import { BOUNDARY } from './control-plane.ts';

/** Limits that have to hold at every entry of the record. */
export interface JudgedLimits {
  readonly fleet: number;
  readonly queues: Readonly<Record<string, number>>;
  /** Runs of an agent that tasks caused, at once. */
  readonly agents: Readonly<Record<string, number>>;
}

/** Only a retry leads out of these. */
const ENDS: ReadonlySet<string> = new Set(['failed', 'blocked', 'cancelled']);

interface Seen {
  readonly order: TaskCreated;
  readonly events: TaskEvent[];
  state: string;
  queuedSeq: number;
  /** When it last began to wait. */
  waitsSinceSeq: number;
  agent: string | undefined;
}

class Judge {
  readonly faults: string[] = [];
  readonly tasks = new Map<string, Seen>();
  readonly #runs = new Map<string, { readonly task: string; readonly attempt: number; hasEnded: boolean }>();
  /** Of each run the fence of its last claim. */
  readonly #fences = new Map<string, number>();
  readonly #limits: JudgedLimits;

  constructor(limits: JudgedLimits) {
    this.#limits = limits;
  }

  task(event: TaskEvent, seq: number): void {
    if (event.type === 'fleetlog.task.created.v1') {
      if (this.tasks.has(event.taskId)) this.faults.push(`${event.taskId} was created twice`);
      this.tasks.set(event.taskId, {
        order: event,
        events: [event],
        state: 'pending',
        queuedSeq: seq,
        waitsSinceSeq: seq,
        agent: undefined,
      });
      return;
    }
    const seen = this.tasks.get(event.taskId);
    if (seen === undefined) return void this.faults.push(`${event.taskId} was never created`);
    if (event.type === 'fleetlog.task.assigned.v1') this.#checkOrder(seen, seq);
    const before = seen.state;
    seen.events.push(event);
    seen.state = fold(taskDecider, seen.events)?.state ?? '';
    if (event.type === 'fleetlog.task.assigned.v1') seen.agent = event.agent;
    if (event.type === 'fleetlog.task.retried.v1') seen.queuedSeq = seq;
    if (seen.state === 'pending' && before !== 'pending') seen.waitsSinceSeq = seq;
    this.#checkCourse(event, before, seq);
    this.#checkLimits(seq);
  }

  /** What has ended stays so, but for a retry; and only what waits is handed over. */
  #checkCourse({ taskId, type }: TaskEvent, before: string, seq: number): void {
    if (before === 'completed') this.faults.push(`${taskId}: ${type} after it was completed`);
    else if (ENDS.has(before) && type !== 'fleetlog.task.retried.v1')
      this.faults.push(`at ${seq} ${taskId}: ${type} after it had ended (${before})`);
    if (type === 'fleetlog.task.assigned.v1' && before !== 'pending')
      this.faults.push(`at ${seq} ${taskId} is handed over while it is ${before}`);
  }

  run(event: RunEvent): void {
    this.#checkFence(event);
    if (event.type === 'fleetlog.run.created.v1') {
      if (event.task === undefined) return;
      const { taskId: task, attempt } = event.task;
      const attempts =
        this.tasks.get(task)?.events.filter(({ type }) => type === 'fleetlog.task.assigned.v1').length ?? 0;
      if (attempt !== attempts)
        this.faults.push(`run of attempt ${attempt} of ${task}, which has ${attempts}`);
      for (const one of this.#runs.values())
        if (one.task === task && !one.hasEnded) this.faults.push(`${task} has two runs at once`);
      this.#runs.set(event.runId, { task, attempt, hasEnded: false });
    } else if (endsRun(event)) {
      const run = this.#runs.get(event.runId);
      if (run !== undefined) run.hasEnded = true;
    }
  }

  /** Runs that go on. */
  openRuns(): readonly string[] {
    return [...this.#runs].flatMap(([runId, { hasEnded }]) => (hasEnded ? [] : [runId]));
  }

  /**
   * Whoever knew that the one waits knew of everything that waited before it: of those that ask for the same, none that goes
   * first may be passed over.
   */
  #checkOrder(next: Seen, seq: number): void {
    const demand = demandOf(next.order);
    for (const [taskId, other] of this.tasks) {
      if (other === next || other.state !== 'pending' || demandOf(other.order) !== demand) continue;
      if (other.waitsSinceSeq > next.waitsSinceSeq) continue;
      const ranks = [rankOf(other), rankOf(next)] as const;
      if (compareRank(...ranks) < 0) this.faults.push(`at ${seq} ${next.order.taskId} overtook ${taskId}`);
    }
  }

  /** One holder a fence, and nothing under an old one. */
  #checkFence(event: RunEvent): void {
    if (event.type === 'fleetlog.run.claimed.v1') {
      const last = this.#fences.get(event.runId) ?? 0;
      if (event.fence !== last + 1) this.faults.push(`${event.runId}: fence ${event.fence} after ${last}`);
      this.#fences.set(event.runId, event.fence);
    } else if ('fence' in event && event.fence !== null && event.fence !== this.#fences.get(event.runId))
      this.faults.push(`${event.runId}: ${event.type} under fence ${event.fence}`);
  }

  #checkLimits(seq: number): void {
    const active = [...this.tasks.values()].filter(({ state }) => isActive(state as 'assigned'));
    const check = (what: string, is: number, most: number): void => {
      if (is > most) this.faults.push(`at ${seq} ${what}: ${is} of ${most}`);
    };
    check('fleet', active.length, this.#limits.fleet);
    for (const [queue, most] of Object.entries(this.#limits.queues))
      check(`queue ${queue}`, active.filter(({ order }) => order.queue === queue).length, most);
    for (const [agent, most] of Object.entries(this.#limits.agents)) {
      const open = active.filter((one) => one.agent === agent && !this.#isRunOver(one));
      check(`agent ${agent}`, open.length, most);
    }
  }

  #isRunOver({ events }: Seen): boolean {
    const assigned = events.findLast(({ type }) => type === 'fleetlog.task.assigned.v1');
    return assigned !== undefined && 'runId' in assigned && this.#runs.get(assigned.runId)?.hasEnded === true;
  }
}

const rankOf = ({ order, queuedSeq }: Seen) => ({ priority: order.priority, queuedSeq });
const demandOf = ({ queue, lane, provider, agent, labels }: TaskCreated): string =>
  JSON.stringify([queue, lane, provider, agent, labels]);

/** Walks the log, entry by entry, and holds the summaries of the bucket against the folds. */
export class TaskVerdict {
  readonly judge: Judge;
  readonly #summaries = new Map<string, { readonly seq: number; readonly view: TaskSummary }>();
  readonly #lastSeqs = new Map<string, number>();
  #lastGrant = 0;
  /** A grant that came before its hand-over. */
  #open: Granted | undefined;

  constructor(limits: JudgedLimits) {
    this.judge = new Judge(limits);
  }

  take(entry: StoredEntry): void {
    const reading = readEntry(entry);
    if (reading.kind === 'problem') this.judge.faults.push(reading.problem);
    else if (reading.kind === 'task') this.#task(reading.data, entry.seq);
    else if (reading.kind === 'run') this.judge.run(reading.data);
    else if (reading.kind === 'admission') {
      this.#grant(reading.data, entry.seq);
    }
  }

  get faults(): readonly string[] {
    return this.judge.faults;
  }

  /** The state of each task. */
  get states(): readonly string[] {
    return [...this.judge.tasks.values()].map(({ state }) => state);
  }

  async compareSummaries(bucket: KeyValue): Promise<void> {
    for (const [taskId, { seq, view }] of this.#summaries) {
      const stored = await bucket.get(viewKey(BOUNDARY, taskId));
      if (JSON.stringify(parseJson(stored?.value ?? new Uint8Array())) !== JSON.stringify({ seq, ...view }))
        this.judge.faults.push(`the summary of ${taskId} is not the fold of its record`);
    }
  }

  /** One of several tasks stands directly behind what it hands over; one of a single task before it, and no other comes between. */
  #grant({ grants }: AdmissionEvent, seq: number): void {
    const [granted] = grants;
    if (granted?.taskSeq === undefined && seq - this.#lastGrant <= grants.length)
      this.judge.faults.push(`grant ${seq} is alone`);
    if (this.#open !== undefined && this.#lastSeqs.get(this.#open.taskId) === this.#open.taskSeq)
      this.judge.faults.push(`grant ${seq} is made before the last one is carried out`);
    this.#open = granted?.taskSeq === undefined ? undefined : granted;
    this.#lastGrant = seq;
  }

  #task(event: TaskEvent, seq: number): void {
    const { taskId } = event;
    // Once the task has gone on, the grant is carried out or void; what follows is another's.
    const isOpen = this.#open?.taskId === taskId && this.#open.taskSeq === this.#lastSeqs.get(taskId);
    if (isOpen && event.type === 'fleetlog.task.assigned.v1' && event.agent !== this.#open?.agent)
      this.judge.faults.push(`at ${seq} ${taskId} is handed over otherwise than it was granted`);
    this.#lastSeqs.set(taskId, seq);
    this.judge.task(event, seq);
    const before = this.#summaries.get(event.taskId)?.view;
    const view = foldTask(before, { boundary: BOUNDARY, seq, event });
    if (view !== undefined) this.#summaries.set(event.taskId, { seq, view });
  }
}

/** What was broken, and how each task ended. */
export const judgeTasks = async (
  ports: Ports,
  {
    limits,
    withoutSummaries = false,
  }: { readonly limits: JudgedLimits; readonly withoutSummaries?: boolean },
): Promise<{ readonly faults: readonly string[]; readonly states: readonly string[] }> => {
  const walk = new TaskVerdict(limits);
  for await (const entry of ports.log('TRANSITIONS').replay()) walk.take(entry);
  if (!withoutSummaries) await walk.compareSummaries(ports.bucket('tasks'));
  const { faults } = walk.judge;
  faults.push(...walk.judge.openRuns().map((runId) => `${runId} goes on`));
  return { faults, states: walk.states };
};
