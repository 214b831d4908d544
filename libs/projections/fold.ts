// The fold itself, shared by the live projection, the rebuild and the verification, so that all three agree by construction:
// an entry changes at most one key, entries that a key has seen are skipped, an entry that cannot be folded changes nothing.
import { NewerEntry } from '#libs/kernel/newer-entry.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { Projection, Stamped } from './projection.ts';

/** An entry that could not be decoded or folded. Folding it again fails again: it is reported and skipped. */
export interface Poison {
  readonly entry: StoredEntry;
  readonly stage: 'decode' | 'fold' | 'store';
  readonly error: unknown;
}

/** An entry, read: what it changes, or why it changes nothing. */
export type Reading<Event> =
  | { readonly kind: 'change'; readonly entry: StoredEntry; readonly event: Event; readonly key: string }
  /** `newerType`: of a type that this version does not know. */
  | { readonly kind: 'nothing'; readonly entry: StoredEntry; readonly newerType?: string }
  | { readonly kind: 'poison'; readonly entry: StoredEntry; readonly poison: Poison };

export type Change<Event> = Extract<Reading<Event>, { readonly kind: 'change' }>;

/** What a bucket takes as a key, without the reserved ones that begin with `_`. */
const KEY = /^(?!_)[-/_=a-zA-Z0-9]+(?:\.[-/_=a-zA-Z0-9]+)*$/;

/** Decodes an entry and finds its key. Never throws. */
export const readEntry = <Event, State extends object>(
  projection: Projection<Event, State>,
  entry: StoredEntry,
): Reading<Event> => {
  try {
    const event = projection.decode(entry);
    const key = event === undefined ? undefined : projection.key(event, entry);
    if (event === undefined || key === undefined) return { kind: 'nothing', entry };
    if (!KEY.test(key)) throw new Error(`"${key}" cannot be a projected key`);
    return { kind: 'change', entry, event, key };
  } catch (error) {
    if (error instanceof NewerEntry) return { kind: 'nothing', entry, newerType: error.type };
    return { kind: 'poison', entry, poison: { entry, stage: 'decode', error } };
  }
};

/** Folds changes of one key, in order, onto `base`. The stamp moves only with the state. */
export const foldChanges = <Event, State extends object>(
  projection: Projection<Event, State>,
  base: Stamped<State>,
  changes: Iterable<Change<Event>>,
  onPoison: (poison: Poison) => void,
): Stamped<State> => {
  let { seq, state } = base;
  for (const { entry, event } of changes) {
    if (entry.seq <= seq) continue;
    try {
      const next = projection.evolve(state, event, entry);
      if (next === state) continue;
      state = next;
      seq = entry.seq;
    } catch (error) {
      onPoison({ entry, stage: 'fold', error });
    }
  }
  return seq === base.seq ? base : { seq, state };
};

export interface FoldLogOptions {
  /** Last sequence to read. */
  readonly toSeq: number;
  /** The last sequence to fold into a key; undefined: the key is not wanted. Default: `toSeq` for every key. */
  readonly lastSeqOf?: (key: string) => number | undefined;
  readonly signal?: AbortSignal;
}

/** Folds the log from its start into memory: as many states as there are wanted keys. Throws the log's faults. */
export const foldLog = async <Event, State extends object>(
  projection: Projection<Event, State>,
  log: EventLog,
  options: FoldLogOptions,
): Promise<Map<string, Stamped<State>>> => {
  const { toSeq, lastSeqOf = (): number => toSeq, signal } = options;
  const states = new Map<string, Stamped<State>>();
  if (toSeq < 1) return states;
  const { subjects } = projection;
  for await (const entry of log.replay({ subjects, toSeq, ...(signal === undefined ? {} : { signal }) })) {
    const reading = readEntry(projection, entry);
    if (reading.kind !== 'change') continue;
    const last = lastSeqOf(reading.key);
    if (last === undefined || entry.seq > last) continue;
    const base = states.get(reading.key) ?? { seq: 0, state: projection.initial };
    const folded = foldChanges(projection, base, [reading], () => undefined);
    if (folded !== base) states.set(reading.key, folded);
  }
  return states;
};
