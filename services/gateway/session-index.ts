// Sessions in the orders in which they are listed, kept beside the view of the bucket: by attention (active, then unread for the reader, then
// the rest; within each the latest activity first, ST-34), and by their last change. Never looks through all of them for one page.
import { createOrderedIndex, type OrderedIndex, type Walk } from '#libs/projections/ordered-index.ts';
import type { ReadView } from '#libs/projections/read-view.ts';
import { list, text, whole } from '#libs/projections/row-fields.ts';
import { mergeWalks, takeRows, walkWhile } from '#libs/projections/walks.ts';
import type { SESSION_LISTS } from '#streams/http/sessions.ts';
import type { ReadCursor, SessionView } from '#streams/session-view.ts';
import { afterChange, createChangeOrder, type ChangeRange } from './change-order.ts';
import { Readers, SeenVersions } from './readers.ts';

/** What sessionRowOf looks at. */
export const SESSION_ROW_FIELDS = [
  'seq',
  'sessionId',
  'agent',
  'provider',
  'activeRuns',
  'runs',
  'version',
  'lastActivityAt',
  'updatedAt',
] as const;

/** What the orders and filters need of a session. */
export interface SessionRow {
  readonly id: string;
  readonly seq: number;
  readonly version: number;
  readonly agent: string;
  readonly provider: string;
  readonly isActive: boolean;
  /** No run was ever in it. */
  readonly isIdle: boolean;
  readonly lastActivityAt: number;
  readonly updatedAt: number;
}

/** The row of a value of the bucket; throws for what is none. */
export const sessionRowOf = (value: unknown): SessionRow => {
  const fields = value as Readonly<Partial<Record<(typeof SESSION_ROW_FIELDS)[number], unknown>>>;
  return {
    id: text(fields.sessionId),
    seq: whole(fields.seq),
    version: whole(fields.version, 0),
    agent: text(fields.agent),
    provider: text(fields.provider),
    isActive: list(fields.activeRuns).length > 0,
    isIdle: whole(fields.runs) === 0,
    lastActivityAt: whole(fields.lastActivityAt),
    updatedAt: whole(fields.updatedAt, 0),
  };
};

type SessionList = (typeof SESSION_LISTS)[number];

type Place = Pick<SessionRow, 'lastActivityAt' | 'updatedAt' | 'id'>;
const GROUPS = ['active', 'unread', 'read'] as const;
type Group = (typeof GROUPS)[number];

/** The last session of a page: in which group, and where in it. */
export interface SessionPlace extends Place {
  readonly group: Group;
}

const compare = (a: Place, b: Place): number =>
  b.lastActivityAt - a.lastActivityAt ||
  b.updatedAt - a.updatedAt ||
  (a.id < b.id ? -1 : Number(a.id > b.id));

/** The groups of a list, in order, and whether it has only sessions without runs, or only others. */
const LISTS: Readonly<Record<SessionList, { readonly groups: readonly Group[]; readonly isIdle?: boolean }>> =
  {
    default: { groups: ['active', 'unread'] },
    all: { groups: GROUPS },
    running: { groups: ['active'] },
    unread: { groups: ['unread'] },
    terminal: { groups: ['unread', 'read'], isIdle: false },
    idle: { groups: ['unread', 'read'], isIdle: true },
  };

export interface SessionListing {
  readonly state: SessionList;
  readonly agent?: string | undefined;
  readonly provider?: string | undefined;
  readonly reader?: string | undefined;
  readonly after?: SessionPlace | undefined;
  readonly limit: number;
}

type Narrowing = Pick<SessionListing, 'state' | 'agent' | 'provider'>;

/** Whether not every session can be in the list. */
const isNarrowed = ({ agent, provider, state }: Narrowing): boolean =>
  agent !== undefined || provider !== undefined || LISTS[state].isIdle !== undefined;

type Ordered = OrderedIndex<Place, SessionRow>;
const ordered = (): Ordered => createOrderedIndex<Place, SessionRow>(compare);

/** Active and inactive sessions apart. */
class Halves {
  readonly active = ordered();
  readonly inactive = ordered();

  of({ isActive }: SessionRow): Ordered {
    return isActive ? this.active : this.inactive;
  }
}

/** Readers of narrowed lists whose lists are kept at the same time, for each kind. */
const MOST_READERS_OF_KIND = 8;

/** The sessions of one agent with one provider, with or without runs: what lists are narrowed by. */
class Kind extends Halves {
  readonly #of: Pick<SessionRow, 'agent' | 'provider' | 'isIdle'>;
  readonly readers: Readers<Place, SessionRow>;

  constructor(row: SessionRow, seen: SeenVersions<Place, SessionRow>) {
    super();
    this.readers = new Readers(compare, seen, {
      all: (after) => this.inactive.walk(after),
      most: MOST_READERS_OF_KIND,
    });
    this.#of = { agent: row.agent, provider: row.provider, isIdle: row.isIdle };
  }

  isOf({ agent, provider, state }: Narrowing): boolean {
    const { isIdle } = LISTS[state];
    return (
      (agent === undefined || agent === this.#of.agent) &&
      (provider === undefined || provider === this.#of.provider) &&
      (isIdle === undefined || isIdle === this.#of.isIdle)
    );
  }
}

const kindOf = ({ agent, provider, isIdle }: SessionRow): string => `${agent} ${provider} ${isIdle}`;

export class SessionIndex {
  readonly #all = new Halves();
  readonly #kinds = new Map<string, Kind>();
  readonly #changes = createChangeOrder<SessionRow>();
  readonly #seen = new SeenVersions<Place, SessionRow>();
  readonly #readers = new Readers<Place, SessionRow>(compare, this.#seen, {
    all: (after) => this.#all.inactive.walk(after),
  });

  /** Follows the view from now on. */
  constructor(view: Pick<ReadView<Omit<SessionView, 'seq'>, SessionRow>, 'follow'>) {
    view.follow((before, after) => {
      if (before !== undefined) this.#remove(before);
      if (after !== undefined) this.#add(after);
    });
  }

  /** A reader's cursor over a session has moved, or is gone. */
  noteCursor(
    { reader, id }: Pick<ReadCursor, 'reader' | 'id'>,
    version: number,
    row: SessionRow | undefined,
  ): void {
    const inactive = row?.isActive === false ? row : undefined;
    const kind = inactive && this.#kinds.get(kindOf(inactive));
    this.#seen.move({ reader, id, version }, inactive, [this.#readers, ...(kind ? [kind.readers] : [])]);
  }

  /** The version that a reader has seen; 0: none. */
  seen(reader: string, id: string): number {
    return this.#seen.of(reader, id);
  }

  /** Puts everything that has come in its place now: the first reader after a start would wait for it. */
  sort(): void {
    for (const half of ['active', 'inactive'] as const) {
      const ofKinds = new Map<Kind, SessionRow[]>();
      // Those of a kind come in the order of all of them: it is made once.
      for (const walk = this.#all[half].walk(); walk.row !== undefined; walk.advance()) {
        const kind = this.#kinds.get(kindOf(walk.row));
        const rows = kind === undefined ? undefined : ofKinds.get(kind);
        if (rows !== undefined) rows.push(walk.row);
        else if (kind !== undefined) ofKinds.set(kind, [walk.row]);
      }
      for (const [kind, rows] of ofKinds) kind[half].refill(rows);
    }
    this.#changes.sort();
  }

  /** Before the first page of a reader: without it that page makes the reader's lists, and everybody waits for it. */
  async prepare(reader: string, listing: Narrowing): Promise<void> {
    if (!isNarrowed(listing)) return this.#readers.prepare(reader);
    for (const kind of this.#kindsOf(listing)) await kind.readers.prepare(reader);
  }

  /** A page of a list, and the place of its last row. */
  page(listing: SessionListing): { readonly rows: readonly SessionRow[]; readonly hasMore: boolean } {
    return takeRows(this.#walks(LISTS[listing.state].groups, listing), listing.limit);
  }

  /** Whether the row is unread for the reader, or for nobody in particular. */
  groupOf(row: SessionRow, reader: string | undefined): Group {
    if (row.isActive) return 'active';
    return reader === undefined || this.seen(reader, row.id) < row.version ? 'unread' : 'read';
  }

  /** Sessions that have changed after a sequence, up to another, in the order of their last change. */
  changes(
    { after, upTo }: ChangeRange,
    limit: number,
    isWanted?: (row: SessionRow) => boolean,
  ): { readonly rows: readonly SessionRow[]; readonly hasMore: boolean } {
    const walk = walkWhile(this.#changes.walk(afterChange(after)), ({ seq }) => seq <= upTo);
    return takeRows([walk], limit, isWanted);
  }

  *#walks(groups: readonly Group[], listing: SessionListing): Generator<Walk<SessionRow>> {
    const { after } = listing;
    const from = after === undefined ? 0 : GROUPS.indexOf(after.group);
    for (const group of groups) {
      const at = GROUPS.indexOf(group);
      if (at >= from) yield* this.#walk(group, listing, at === from);
    }
  }

  *#walk(group: Group, listing: SessionListing, isFirst: boolean): Generator<Walk<SessionRow>> {
    const { reader } = listing;
    // Without a reader everything is unread.
    if (reader === undefined && group === 'read') return;
    const after = isFirst ? listing.after : undefined;
    const half = group === 'active' ? 'active' : 'inactive';
    // Lists of a reader hold sessions of every kind, and those that match may be the last of them: each kind has lists of its own.
    const listOf = (halves: Halves, readers: Readers<Place, SessionRow>): Ordered =>
      reader === undefined || group === 'active' ? halves[half] : readers.of(reader)[group];
    if (!isNarrowed(listing)) yield listOf(this.#all, this.#readers).walk(after);
    else {
      const walks = this.#kindsOf(listing).map((kind) => listOf(kind, kind.readers).walk(after));
      yield mergeWalks(compare, walks);
    }
  }

  #kindsOf(listing: Narrowing): readonly Kind[] {
    return [...this.#kinds.values()].filter((kind) => kind.isOf(listing));
  }

  #add(row: SessionRow): void {
    this.#all.of(row).add(row);
    const name = kindOf(row);
    const kind = this.#kinds.get(name) ?? new Kind(row, this.#seen);
    this.#kinds.set(name, kind);
    kind.of(row).add(row);
    this.#changes.add(row);
    if (!row.isActive) for (const one of [this.#readers, kind.readers]) one.add(row);
  }

  #remove(row: SessionRow): void {
    this.#all.of(row).remove(row);
    const kind = this.#kinds.get(kindOf(row));
    kind?.of(row).remove(row);
    this.#changes.remove(row);
    if (row.isActive) return;
    this.#readers.remove(row);
    kind?.readers.remove(row);
  }
}
