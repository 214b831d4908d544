// Keeps the boards of all tenants and projects current: from the summaries, then from the log, entry by entry in its order, pushed and
// never polled. Decides nothing (hall.ts). One instance follows once; after a fault a new one begins again.
import { Fault } from '#libs/kernel/fault.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import { ADMISSION_ID } from '#streams/admission.ts';
import { readEntry, type EntryReading } from '#streams/catalogue.ts';
import { aggregateFilter, aggregateSubject, parseSubject, type Boundary } from '#streams/subjects.ts';
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

/** Where the log is taken up. */
interface Beginning {
  readonly seq: number;
  readonly lastSeq: number;
  readonly isSeen: ReturnType<typeof seenBy>;
}

const FAMILIES = ['task', 'run', 'admission'] as const;

const keyOf = ({ tenant, project }: Boundary): string => `${tenant}.${project}`;

export class FleetLog {
  readonly #parts: Parts;
  readonly #boards = new Map<string, Board>();
  readonly #known = Promise.withResolvers<void>();
  /** Where to go on, and what the summaries have seen up to the last sequence that they may know of. */
  #from: Beginning = { seq: 1, lastSeq: 0, isSeen: () => false };
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

  /** Resolves when what the log had, when it was begun to be followed, is on the boards. */
  get known(): Promise<void> {
    return this.#known.promise;
  }

  /** Resolves when everything up to this sequence of the log is on the boards (it has to be that of an entry followed here), or at the end. */
  reached(seq: number): Promise<void> {
    if (this.#seenSeq >= seq || this.#isOver) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ seq, resolve });
    });
  }

  /** Fills the boards with what the summaries know. Faults: the log's. */
  async restore(summaries: Summaries): Promise<void> {
    const { tasks, runs } = summaries;
    for (const { state, seq } of tasks.values) this.board(state).restoreTask(state, seq);
    for (const { state } of runs.values) {
      const { runId, agent, provider, failure } = state;
      if (state.endedAt === null) this.board(state).restoreRun({ runId, agent, provider });
      // Pauses that are over end with the first decision.
      else if (failure !== null) this.board(state).noteFailure({ agent, provider }, failure, state.endedAt);
    }
    const { log } = this.#parts;
    for (const boundary of this.boundaries()) {
      const last = await log.last(aggregateSubject(boundary, 'admission', ADMISSION_ID));
      const reading = last && readEntry(last);
      // Only the last one may not be carried out yet.
      if (last !== undefined)
        this.board(boundary).applyGrant(last.seq, reading?.kind === 'admission' ? reading.data.grants : []);
    }
    // Nothing that is stored after this look is in the summaries.
    const { lastSeq } = await log.bounds();
    const reached = await Promise.all([
      knownUpTo(log, { family: 'task', position: tasks.position, lastSeq }),
      knownUpTo(log, { family: 'run', position: runs.position, lastSeq }),
    ]);
    this.#from = { seq: Math.min(...reached, lastSeq) + 1, lastSeq, isSeen: seenBy(summaries) };
  }

  /** Goes on from there until the signal aborts. Faults: the log's. */
  async follow(signal: AbortSignal): Promise<void> {
    const { seq, lastSeq, isSeen } = this.#from;
    const entries = this.#parts.log.replay({
      from: { seq },
      subjects: filters(),
      follow: true,
      isShared: true,
      isUrgent: true,
      onCaughtUp: (upToSeq) => {
        this.#seen(upToSeq);
        this.#known.resolve();
      },
      signal,
    });
    for await (const entry of entries) {
      // Looked at before it is read: where nothing of one family has happened for long, most of what comes is of the other and known.
      const about = entry.seq <= lastSeq ? summarised(entry) : undefined;
      if (about === undefined || !isSeen({ ...about, seq: entry.seq }))
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

/**
 * Up to where a summary has everything of its family: its position stands at the last entry that it has folded, and where there are no tasks that is
 * the beginning of a log that may be long. The broker finds the next one of a family without reading what lies between.
 */
const knownUpTo = async (
  log: EventLog,
  {
    family,
    position,
    lastSeq,
  }: { readonly family: 'task' | 'run'; readonly position: number; readonly lastSeq: number },
): Promise<number> => {
  if (position >= lastSeq) return position;
  const next = log.replay({
    from: { seq: position + 1 },
    toSeq: lastSeq,
    subjects: [aggregateFilter(family)],
  });
  for await (const { seq } of next) return seq - 1;
  return lastSeq;
};

type OfSummary = { readonly family: 'task' | 'run'; readonly boundary: Boundary; readonly id: string };

/** What the summaries are folded from, with what they know it by. */
const summarised = ({ subject }: StoredEntry): OfSummary | undefined => {
  const place = parseSubject(subject);
  if (place?.kind !== 'aggregate' || (place.family !== 'task' && place.family !== 'run')) return undefined;
  const { tenant, project, family, id } = place;
  return { family, boundary: { tenant, project }, id };
};
