// The runs that have not ended, as an index over their transitions: taken from summaries once, then moved by each transition as the summary
// itself is (run.view.ts), of which a few fields are kept. Equal to what the summaries of all runs would give, whatever they had seen.
// Pure; nothing is decided from it.
import { viewKey, type RunView } from '#streams/buckets.ts';
import type { Boundary } from '#streams/subjects.ts';
import { isEnded, isHeld } from './run-state.policy.ts';
import { foldRun, type PlacedRunEvent, type RunSummary } from './run.view.ts';

export interface UnfinishedRun {
  readonly boundary: Boundary;
  readonly runId: string;
  /** Of its last transition, epoch ms. */
  readonly updatedAt: number;
}

/** How a run of an agent seems to stand. */
export interface AgentRun extends UnfinishedRun {
  readonly agent: string;
  readonly createdAt: number;
  readonly isHeld: boolean;
  readonly isQueued: boolean;
}

/** What is kept of a summary. */
export type IndexedFields = Pick<
  RunView,
  | 'seq'
  | 'tenant'
  | 'project'
  | 'runId'
  | 'agent'
  | 'createdAt'
  | 'state'
  | 'runnerId'
  | 'openApprovals'
  | 'updatedAt'
>;

/** `seq`: of the last transition that it knows of. */
interface IndexedRun
  extends AgentRun, Readonly<Pick<IndexedFields, 'seq' | 'state' | 'runnerId' | 'openApprovals'>> {
  /** When its first open question is over; infinite when it has none. */
  readonly dueAt: number;
}

const indexedOf = (fields: Omit<IndexedFields, 'seq'>, seq: number): IndexedRun => {
  const { tenant, project, runId, agent, createdAt, updatedAt, state, runnerId, openApprovals } = fields;
  return {
    boundary: { tenant, project },
    seq,
    runId,
    agent,
    createdAt,
    updatedAt,
    state,
    runnerId,
    openApprovals,
    isHeld: isHeld({ state, runnerId }),
    isQueued: state === 'queued',
    dueAt: Math.min(...openApprovals.map(({ expiresAt }) => expiresAt)),
  };
};

/** What a summary has beside the fields that are kept; none of it moves them. */
const REST = {
  sessionId: '',
  provider: 'exec',
  title: null,
  attempt: 0,
  maxAttempts: 1,
  fence: null,
  leaseMs: 1,
  turnId: null,
  cancelReason: null,
  failure: null,
  result: null,
  parkings: 0,
  turnCommandId: '',
  commands: [],
  claimedAt: null,
  startedAt: null,
  endedAt: null,
} as const satisfies Partial<RunSummary>;

/** With what else the index knows of it: {@link indexedOf} takes what is kept, and nothing looks at the rest. */
const summaryOf = ({ boundary, ...kept }: IndexedRun): RunSummary => ({
  ...REST,
  ...boundary,
  ...kept,
  commands: [],
});

export class UnfinishedIndex {
  readonly #runs = new Map<string, IndexedRun>();
  readonly #held = new Set<string>();
  /** The last transition that was applied. */
  #seq = 0;

  /** Takes a run as its summary shows it. `atMost`: the log has nothing later, so the summary knows of nothing later either. */
  restore(fields: IndexedFields, atMost: number): void {
    this.#keep(indexedOf(fields, Math.min(fields.seq, atMost)));
  }

  /** The next transition, in the order of the log; one that was applied before, or that the run's summary had seen, changes nothing. */
  apply(placed: PlacedRunEvent, seq: number): void {
    if (seq <= this.#seq) return;
    this.#seq = seq;
    const known = this.#runs.get(viewKey(placed.boundary, placed.event.runId));
    if (known !== undefined && seq <= known.seq) return;
    const next = foldRun(known && summaryOf(known), placed);
    if (next !== undefined) this.#keep(indexedOf(next, seq));
  }

  held(): readonly AgentRun[] {
    return [...this.#held].flatMap((key) => this.#runs.get(key) ?? []);
  }

  get heldCount(): number {
    return this.#held.size;
  }

  queued(): readonly UnfinishedRun[] {
    return [...this.#runs.values()].filter((run) => run.isQueued);
  }

  overdue(now: number): readonly UnfinishedRun[] {
    return [...this.#runs.values()].filter(({ dueAt }) => dueAt <= now);
  }

  ofAgent({ tenant, project }: Boundary, agent: string): readonly AgentRun[] {
    return [...this.#runs.values()].filter(
      (run) => run.agent === agent && run.boundary.tenant === tenant && run.boundary.project === project,
    );
  }

  get size(): number {
    return this.#runs.size;
  }

  #keep(run: IndexedRun): void {
    const key = viewKey(run.boundary, run.runId);
    if (isEnded(run.state)) this.#runs.delete(key);
    else this.#runs.set(key, run);
    if (run.isHeld) this.#held.add(key);
    else this.#held.delete(key);
  }
}
