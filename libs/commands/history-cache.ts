// Folded histories of aggregates kept in memory, so that the next command needs no read. A cached history may be old:
// it is proven by the expected sequence at the append, or checked against the log before a refusal is believed.
// Bounded in number and in bytes: the least recently used history goes first. Does no I/O.
import { RecentMap } from '#libs/kernel/recent-map.ts';

/** A folded history: its state, the sequence of its last entry, and which event ids it holds. */
export interface History<State> {
  readonly state: State;
  /** Sequence of the subject's last entry; 0: the subject is empty. */
  readonly seq: number;
  /** Dedup id → sequence, of at most the newest {@link REMEMBERED_IDS} entries. */
  readonly ids: ReadonlyMap<string, number>;
  /** True when older entries had to be forgotten: an id that is not in `ids` may still be in the log. */
  readonly forgets: boolean;
  /** Bytes of the bodies that were folded into it: about what the state may hold. */
  readonly bytes: number;
}

/** Event ids remembered for one aggregate. */
const REMEMBERED_IDS = 256;

/** The history of an empty subject. */
export const emptyHistory = <State>(initial: State): History<State> => ({
  state: initial,
  seq: 0,
  ids: new Map(),
  forgets: false,
  bytes: 0,
});

/** The history with one more entry. The map of ids is handed on from `history`, which must not be used afterwards. */
export const extendHistory = <State>(
  history: History<State>,
  next: {
    readonly state: State;
    readonly seq: number;
    readonly id: string | undefined;
    readonly bytes: number;
  },
): History<State> => {
  const ids = history.ids as Map<string, number>;
  let { forgets } = history;
  if (next.id !== undefined) {
    ids.set(next.id, next.seq);
    for (const [oldest] of ids) {
      if (ids.size <= REMEMBERED_IDS) break;
      ids.delete(oldest);
      forgets = true;
    }
  }
  return { state: next.state, seq: next.seq, ids, forgets, bytes: history.bytes + next.bytes };
};

export interface HistoryCache<State> {
  /** The history of a subject; it becomes the most recently used. */
  get(subject: string): History<State> | undefined;
  set(subject: string, history: History<State>): void;
  drop(subject: string): void;
  readonly size: number;
}

/** Holds at most `capacity` histories (0 keeps none) of at most `maxBytes` together; one that is larger alone is not kept. */
export const createHistoryCache = <State>(capacity: number, maxBytes: number): HistoryCache<State> => {
  const histories = new RecentMap<History<State>>();
  let bytes = 0;
  const remove = (subject: string): void => {
    bytes -= histories.peek(subject)?.bytes ?? 0;
    histories.delete(subject);
  };
  const isOver = (): boolean => histories.size > capacity || bytes > maxBytes;
  return {
    get: (subject) => histories.get(subject),
    set: (subject, history) => {
      bytes += history.bytes - (histories.peek(subject)?.bytes ?? 0);
      histories.set(subject, history);
      while (isOver() && histories.oldest !== undefined) remove(histories.oldest);
    },
    drop: remove,
    get size() {
      return histories.size;
    },
  };
};
