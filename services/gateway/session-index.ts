// Sessions in the orders in which they are listed, kept beside the view of the bucket: by attention (active, then unread for the reader, then
// the rest; within each the latest activity first, ST-34), and by their last change. Never looks through all of them for one page.
import type { Walk } from '#libs/projections/ordered-index.ts';
import type { ReadView } from '#libs/projections/read-view.ts';
import { mergeWalks, takeRows } from '#libs/projections/walks.ts';
import type { ReadCursor, SessionView } from '#streams/session-view.ts';
import { changesAfter, createChangeOrder, type ChangePage, type ChangeRange } from './change-order.ts';
import { Readers, SeenVersions } from './readers.ts';
import {
  compareSessions,
  GROUPS,
  Halves,
  isNarrowed,
  Kinds,
  LISTS,
  type Group,
  type Kind,
  type Narrowing,
  type Ordered,
  type Place,
} from './session-kinds.ts';
import type { SessionRow } from './session-row.ts';

/** The last session of a page: in which group, and where in it. */
export interface SessionPlace extends Place {
  readonly group: Group;
}

export interface SessionListing extends Narrowing {
  readonly reader?: string | undefined;
  readonly after?: SessionPlace | undefined;
  readonly limit: number;
}

export class SessionIndex {
  readonly #all = new Halves();
  readonly #changes = createChangeOrder<SessionRow>();
  readonly #seen = new SeenVersions<Place, SessionRow>();
  readonly #kinds = new Kinds(this.#seen);
  readonly #readers = new Readers<Place, SessionRow>(compareSessions, this.#seen, {
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
    const kind = inactive && this.#kinds.find(inactive);
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
        const kind = this.#kinds.find(walk.row);
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
    range: ChangeRange,
    limit: number,
    isWanted?: (row: SessionRow) => boolean,
  ): ChangePage<SessionRow> {
    return changesAfter(this.#changes, range, limit, isWanted);
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
      yield mergeWalks(compareSessions, walks);
    }
  }

  #kindsOf(listing: Narrowing): readonly Kind[] {
    return this.#kinds.all().filter((kind) => kind.isOf(listing));
  }

  #add(row: SessionRow): void {
    this.#all.of(row).add(row);
    const kind = this.#kinds.of(row);
    kind.of(row).add(row);
    this.#changes.add(row);
    if (row.isActive) return;
    this.#readers.add(row);
    kind.readers.add(row);
  }

  #remove(row: SessionRow): void {
    this.#all.of(row).remove(row);
    const kind = this.#kinds.find(row);
    kind?.of(row).remove(row);
    this.#changes.remove(row);
    if (row.isActive) return;
    this.#readers.remove(row);
    kind?.readers.remove(row);
  }
}
