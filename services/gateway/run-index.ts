// Runs in the order in which they are listed, newest first, by state and by session, kept beside the view of the bucket.
import type { ReadView } from '#libs/projections/read-view.ts';
import { idOfKey, oneOf, text, whole } from '#libs/projections/row-fields.ts';
import { runViewSchema, type RunView } from '#streams/buckets.ts';
import type { RunStateName } from '#streams/run.ts';
import type { ListPosition } from './cursor.ts';
import { TimeIndex, type TimePage } from './time-index.ts';

const STATES: ReadonlySet<RunStateName> = new Set(runViewSchema.shape.state.options);

/** What runRowOf looks at. */
export const RUN_ROW_FIELDS = ['sessionId', 'agent', 'state', 'createdAt'] as const;

/** What the order and the filters need of a run. */
export interface RunRow extends ListPosition {
  /** Of its value in the bucket. */
  readonly key: string;
  readonly sessionId: string;
  readonly agent: string;
  readonly state: RunStateName;
}

/** The row of a value of the bucket; throws for what is none. */
export const runRowOf = (value: unknown, key: string): RunRow => {
  const fields = value as Readonly<Partial<Record<(typeof RUN_ROW_FIELDS)[number], unknown>>>;
  return {
    id: idOfKey(key),
    key,
    atMs: whole(fields.createdAt),
    sessionId: text(fields.sessionId),
    agent: text(fields.agent),
    state: oneOf(fields.state, STATES),
  };
};

export interface RunListing {
  readonly state?: readonly RunStateName[] | undefined;
  readonly agent?: string | undefined;
  readonly session?: string | undefined;
  readonly after?: ListPosition | undefined;
  readonly limit: number;
}

export class RunIndex {
  readonly #byState = new TimeIndex<RunRow>(({ state, agent }) => `${state} ${agent}`);
  /** Few runs each, in no order. */
  readonly #bySession = new Map<string, RunRow[]>();

  /** Follows the view from now on. */
  constructor(view: Pick<ReadView<Omit<RunView, 'seq'>, RunRow>, 'follow'>) {
    view.follow((before, after) => {
      if (before !== undefined) this.#remove(before);
      if (after !== undefined) this.#add(after);
    });
  }

  /** See {@link TimeIndex.sort}. */
  sort(): void {
    this.#byState.sort();
  }

  page({ state, agent, session, after, limit }: RunListing): TimePage<RunRow> {
    const isWanted = (row: RunRow): boolean =>
      (state === undefined || state.includes(row.state)) && (agent === undefined || agent === row.agent);
    if (session !== undefined) {
      const few = new TimeIndex<RunRow>(() => '');
      for (const row of this.#bySession.get(session) ?? []) few.add(row);
      return few.page({ after, limit }, () => true, isWanted);
    }
    const isNamed = (name: string): boolean => {
      const [ofState = '', ofAgent = ''] = name.split(' ');
      return (
        (state === undefined || (state as readonly string[]).includes(ofState)) &&
        (agent === undefined || agent === ofAgent)
      );
    };
    return this.#byState.page({ after, limit }, isNamed, isWanted);
  }

  #add(row: RunRow): void {
    this.#byState.add(row);
    const runs = this.#bySession.get(row.sessionId);
    if (runs === undefined) this.#bySession.set(row.sessionId, [row]);
    else runs.push(row);
  }

  #remove(row: RunRow): void {
    this.#byState.remove(row);
    const runs = this.#bySession.get(row.sessionId) ?? [];
    const at = runs.indexOf(row);
    if (at >= 0) runs.splice(at, 1);
    if (runs.length === 0) this.#bySession.delete(row.sessionId);
  }
}
