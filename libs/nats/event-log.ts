// The log port on one JetStream stream. What it guarantees stands in libs/ports/event-log.ts; how: append-lanes.ts keeps the
// order per subject, group-commit.ts chooses between singles and batches, reconcile.ts tells retries from conflicts.
import type { AppendOutcome, BatchOutcome, EventLog, LogBounds, NewEntry } from '#libs/ports/event-log.ts';
import { AppendLanes, type LaneOperation } from './append-lanes.ts';
import { appendAtomically } from './atomic-append.ts';
import { askApi, DEFAULT_PATIENCE, type Patience } from './broker-api.ts';
import type { GroupCommitMode } from './commit-policy.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { directLast, readSubject } from './direct-read.ts';
import { checkBatch, checkEntry, checkLiteral } from './entry-wire.ts';
import { answerFault } from './errors.ts';
import { GroupCommit } from './group-commit.ts';
import { readFromLeader } from './leader-read.ts';
import { appendLinked } from './ordered-append.ts';
import { replay, replayTogether } from './replay.ts';
import type { WriteContext } from './retried-publish.ts';
import { SharedTail } from './shared-tail.ts';
import { SingleAppend } from './single-append.ts';

export interface EventLogOptions {
  readonly stream: string;
  /** Whether concurrent appends may share an atomic batch. @default 'auto': where it was seen to be faster */
  readonly groupCommit?: GroupCommitMode;
  /** One attempt, and all of them: after `withinMs` an append ends in `LOG_UNAVAILABLE`. @default 2 s and 12 s */
  readonly patience?: Patience;
}

/** A batch of the caller's own in its lanes. */
interface TogetherOperation extends LaneOperation {
  readonly start: () => void;
}

const readBounds = async (context: WriteContext): Promise<LogBounds> => {
  const { connection, stream, patience } = context;
  const what = `look at stream ${stream}`;
  const subject = `$JS.API.STREAM.INFO.${stream}`;
  const answer = await askApi(connection, { family: 'LOG', what, subject, body: '', patience });
  if (answer.kind === 'error') throw answerFault('LOG', what, answer.error);
  const state = (answer.value['state'] ?? {}) as Readonly<Record<string, number | undefined>>;
  const lastSeq = state['last_seq'] ?? 0;
  const entries = state['messages'] ?? 0;
  return {
    firstSeq: entries === 0 ? lastSeq + 1 : (state['first_seq'] ?? 1),
    lastSeq,
    entries,
    bytes: state['bytes'] ?? 0,
  };
};

/** Starts what is in the lanes when its turn comes. */
class AppendScheduler {
  readonly #context: WriteContext;
  readonly #lanes = new AppendLanes<SingleAppend | TogetherOperation>();
  readonly #commit: GroupCommit;

  constructor(context: WriteContext, mode: GroupCommitMode) {
    this.#context = context;
    this.#commit = new GroupCommit(context, mode, (operation) => this.#leave(operation));
  }

  append(entry: NewEntry): Promise<AppendOutcome> {
    return new Promise((resolve, reject) => {
      checkEntry(entry);
      this.#enter(new SingleAppend(this.#context, entry, { resolve, reject }));
    });
  }

  appendTogether(entries: readonly NewEntry[]): Promise<BatchOutcome> {
    return this.#withLanes(entries, () => {
      checkBatch(entries);
      return () => appendAtomically(this.#context, entries);
    });
  }

  appendInOrder(entries: readonly NewEntry[]): Promise<readonly AppendOutcome[]> {
    return this.#withLanes(entries, () => {
      for (const entry of entries) checkEntry(entry);
      return () => appendLinked(this.#context, entries);
    });
  }

  /** Does what `check` gives, which throws for what no stream can store, once no earlier append is under way to any of the subjects. */
  #withLanes<Outcome>(entries: readonly NewEntry[], check: () => () => Promise<Outcome>): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const work = check();
      const operation: TogetherOperation = {
        lanes: [...new Set(entries.map(({ subject }) => subject))],
        blockers: 0,
        start: () => {
          work()
            .then(resolve, reject)
            .finally(() => this.#leave(operation));
        },
      };
      this.#enter(operation);
    });
  }

  #enter(operation: SingleAppend | TogetherOperation): void {
    if (this.#lanes.enter(operation)) this.#start(operation);
  }

  #leave(operation: SingleAppend | TogetherOperation): void {
    this.#lanes.leave(operation, (next) => this.#start(next));
  }

  #start(operation: SingleAppend | TogetherOperation): void {
    if (operation instanceof SingleAppend) this.#commit.add(operation);
    else operation.start();
  }
}

const single = async (append: Promise<AppendOutcome>): Promise<BatchOutcome> => {
  const outcome = await append;
  return outcome.kind === 'conflict'
    ? outcome
    : { kind: 'appended', seqs: [outcome.seq], duplicate: outcome.duplicate };
};

/** The log of one stream. Appends of one log are ordered per subject; other logs of the same stream are other writers. */
export const createEventLog = (connection: NatsConnectionHandle, options: EventLogOptions): EventLog => {
  const { stream, groupCommit = 'auto', patience = DEFAULT_PATIENCE } = options;
  const context: WriteContext = { connection, stream, family: 'LOG', patience };
  const scheduler = new AppendScheduler(context, groupCommit);
  const tail = new SharedTail(context);
  return {
    stream,
    append: (entry) => scheduler.append(entry),
    appendTogether: (entries) => {
      const [first] = entries;
      return first !== undefined && entries.length === 1
        ? single(scheduler.append(first))
        : scheduler.appendTogether(entries);
    },
    appendInOrder: (entries) => scheduler.appendInOrder(entries),
    last: async (subject) => {
      checkLiteral(subject);
      return readFromLeader(connection, {
        family: 'LOG',
        stream,
        patience,
        query: { last_by_subj: subject },
      });
    },
    lastSeen: async (subject) => {
      checkLiteral(subject);
      return directLast(context, subject);
    },
    read: async function* read(subject, fromSeq = 1) {
      checkLiteral(subject);
      yield* readSubject(context, subject, fromSeq);
    },
    replay: (replayOptions = {}) => replay(context, replayOptions, tail),
    replayTogether: (replayOptions = {}) => replayTogether(context, replayOptions, tail),
    bounds: () => readBounds(context),
  };
};
