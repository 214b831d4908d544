// Keeps the boards of all tenants and projects current: from the summaries, then from the log, entry by entry in its order, pushed and
// never polled. Decides nothing (hall.ts). One instance follows once; after a fault a new one begins again.
import { Fault } from '#libs/kernel/fault.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import { ADMISSION_ID } from '#streams/admission.ts';
import { readEntry, type EntryReading } from '#streams/catalogue.ts';
import { aggregateFilter, aggregateSubject, type Boundary } from '#streams/subjects.ts';
import { decodeTaskEvent } from '#streams/task-codec.ts';
import { Board, type RetriedTask } from './board.policy.ts';
import { seenBy, type Summaries } from './summaries.ts';

/** Something that was applied to a board. */
interface Applied {
  readonly boundary: Boundary;
  /** The agent that a task was handed to by it. */
  readonly assignedTo: string | undefined;
}

interface Parts {
  /** The log of TRANSITIONS. */
  readonly log: EventLog;
  readonly onApplied: (applied: Applied) => void;
  /** An entry that cannot be read: it is passed over, as every fold does; who writes has refused to go on from it. */
  readonly onUnreadable: (entry: StoredEntry, problem: string) => void;
}

const FAMILIES = ['task', 'run', 'admission'] as const;

const keyOf = ({ tenant, project }: Boundary): string => `${tenant}.${project}`;

export class FleetLog {
  readonly #parts: Parts;
  readonly #boards = new Map<string, Board>();
  #seenSeq = 0;
  #isOver = false;
  #waiting: { readonly seq: number; readonly resolve: () => void }[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The board of a tenant and project; made when it is asked for first. */
  board(boundary: Boundary): Board {
    const known = this.#boards.get(keyOf(boundary));
    if (known !== undefined) return known;
    const made = new Board();
    this.#boards.set(keyOf(boundary), made);
    return made;
  }

  boundaries(): readonly Boundary[] {
    return [...this.#boards.keys()].map((key) => {
      const [tenant = '', project = ''] = key.split('.');
      return { tenant, project };
    });
  }

  /** Resolves when everything up to this sequence of the log is on the boards (it has to be that of an entry followed here), or at the end. */
  reached(seq: number): Promise<void> {
    if (this.#seenSeq >= seq || this.#isOver) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ seq, resolve });
    });
  }

  /** Brings the boards up to what the log has now. Faults: the log's. */
  async catchUp(summaries: Summaries, signal: AbortSignal): Promise<void> {
    const { tasks, runs } = summaries;
    for (const { state, seq } of tasks.values) this.board(state).restoreTask(state, seq);
    for (const { state } of runs.values) {
      const { runId, agent, provider, failure } = state;
      if (state.endedAt === null) this.board(state).restoreRun({ runId, agent, provider });
      // Pauses that are over end with the first decision.
      else if (failure !== null) this.board(state).noteFailure({ agent, provider }, failure);
    }
    const { log } = this.#parts;
    for (const boundary of this.boundaries()) {
      const last = await log.last(aggregateSubject(boundary, 'admission', ADMISSION_ID));
      const reading = last && readEntry(last);
      // Only the last one may not be carried out yet.
      if (last !== undefined)
        this.board(boundary).applyGrant(last.seq, reading?.kind === 'admission' ? reading.data.grants : []);
    }
    const { lastSeq } = await log.bounds();
    const isSeen = seenBy(summaries);
    const fromSeq = Math.min(tasks.position, runs.position) + 1;
    if (fromSeq <= lastSeq)
      for await (const entry of log.replay({
        from: { seq: fromSeq },
        toSeq: lastSeq,
        subjects: filters(),
        signal,
      })) {
        const reading = readEntry(entry);
        const about = summarised(reading);
        if (about === undefined || !isSeen({ ...about, seq: entry.seq })) await this.#apply(entry, reading);
      }
    this.#seen(lastSeq);
  }

  /** Keeps them current until the signal aborts. Faults: the log's. */
  async follow(signal: AbortSignal): Promise<void> {
    const from = { seq: this.#seenSeq + 1 };
    const entries = this.#parts.log.replay({
      from,
      subjects: filters(),
      follow: true,
      isShared: true,
      signal,
    });
    for await (const entry of entries) {
      await this.#apply(entry, readEntry(entry));
      this.#seen(entry.seq);
    }
  }

  /** Nobody waits any more. */
  end(): void {
    this.#isOver = true;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  #seen(seq: number): void {
    this.#seenSeq = Math.max(this.#seenSeq, seq);
    const due = this.#waiting.filter((one) => one.seq <= this.#seenSeq);
    if (due.length === 0) return;
    this.#waiting = this.#waiting.filter((one) => one.seq > this.#seenSeq);
    for (const { resolve } of due) resolve();
  }

  async #apply(entry: StoredEntry, reading: EntryReading): Promise<void> {
    if (reading.kind === 'problem') return this.#parts.onUnreadable(entry, reading.problem);
    const { tenant, project } = reading.place;
    const boundary = { tenant, project };
    const board = this.board(boundary);
    let assignedTo: string | undefined;
    if (reading.kind === 'task') {
      const { data } = reading;
      if (data.type === 'fleetlog.task.retried.v1') await this.#retry(board, entry, data);
      else board.applyTask(data, entry.seq);
      if (data.type === 'fleetlog.task.assigned.v1') assignedTo = data.agent;
    } else if (reading.kind === 'run') board.applyRun(reading.data);
    else if (reading.kind === 'admission') board.applyGrant(entry.seq, reading.data.grants);
    this.#parts.onApplied({ boundary, assignedTo });
  }

  /** Of an ended task nothing is kept in mind: what it asks for is read from its first transition. */
  async #retry(board: Board, entry: StoredEntry, event: RetriedTask): Promise<void> {
    for await (const first of this.#parts.log.read(entry.subject)) {
      const reading = decodeTaskEvent(first);
      if (reading.kind === 'known' && reading.event.type === 'fleetlog.task.created.v1')
        return board.applyRetry(reading.event, event, entry.seq);
      break;
    }
    throw new Fault({
      code: 'TASK_UNREADABLE',
      retry: 'never',
      message: `${entry.subject} does not begin with the creation of a task`,
    });
  }
}

const filters = (): string[] => FAMILIES.map((family) => aggregateFilter(family));

type OfSummary = { readonly family: 'task' | 'run'; readonly boundary: Boundary; readonly id: string };

/** What the summaries are folded from, with what they know it by. */
const summarised = (reading: EntryReading): OfSummary | undefined => {
  if (reading.kind !== 'task' && reading.kind !== 'run') return undefined;
  const { kind: family, place } = reading;
  return {
    family,
    boundary: { tenant: place.tenant, project: place.project },
    id: place.kind === 'timer' ? '' : place.id,
  };
};
