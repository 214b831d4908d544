// Sessions by what lists are narrowed by: agent, provider, and whether there was ever a run in them; each kind in the order of attention, with the lists of
// its readers.
import { createOrderedIndex, type OrderedIndex } from '#libs/projections/ordered-index.ts';
import type { SESSION_LISTS } from '#streams/http/sessions.ts';
import { Readers, type SeenVersions } from './readers.ts';
import type { SessionRow } from './session-row.ts';

export type SessionList = (typeof SESSION_LISTS)[number];

export type Place = Pick<SessionRow, 'lastActivityAt' | 'updatedAt' | 'id'>;
export const GROUPS = ['active', 'unread', 'read'] as const;
export type Group = (typeof GROUPS)[number];

export const compareSessions = (a: Place, b: Place): number =>
  b.lastActivityAt - a.lastActivityAt ||
  b.updatedAt - a.updatedAt ||
  (a.id < b.id ? -1 : Number(a.id > b.id));

/** The groups of a list, in order, and whether it has only sessions without runs, or only others. */
export const LISTS: Readonly<
  Record<SessionList, { readonly groups: readonly Group[]; readonly isIdle?: boolean }>
> = {
  default: { groups: ['active', 'unread'] },
  all: { groups: GROUPS },
  running: { groups: ['active'] },
  unread: { groups: ['unread'] },
  terminal: { groups: ['unread', 'read'], isIdle: false },
  idle: { groups: ['unread', 'read'], isIdle: true },
};

/** What not every session is in. */
export interface Narrowing {
  readonly state: SessionList;
  readonly agent?: string | undefined;
  readonly provider?: string | undefined;
}

/** Whether not every session can be in the list. */
export const isNarrowed = ({ agent, provider, state }: Narrowing): boolean =>
  agent !== undefined || provider !== undefined || LISTS[state].isIdle !== undefined;

export type Ordered = OrderedIndex<Place, SessionRow>;
const ordered = (): Ordered =>
  createOrderedIndex<Place, SessionRow>(compareSessions, ({ lastActivityAt }) => -lastActivityAt);

/** Active and inactive sessions apart. */
export class Halves {
  readonly active = ordered();
  readonly inactive = ordered();

  of({ isActive }: SessionRow): Ordered {
    return isActive ? this.active : this.inactive;
  }
}

/** Readers of narrowed lists whose lists are kept at the same time, for each kind. */
const MOST_READERS_OF_KIND = 8;

/** The sessions of one agent with one provider, with or without runs: what lists are narrowed by. */
export class Kind extends Halves {
  readonly #of: Pick<SessionRow, 'agent' | 'provider' | 'isIdle'>;
  readonly readers: Readers<Place, SessionRow>;

  constructor(row: SessionRow, seen: SeenVersions<Place, SessionRow>) {
    super();
    this.readers = new Readers(compareSessions, seen, {
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

/** What a kind is found by: an agent, a provider, and whether there was ever a run. No text is made for it: it is looked for with every row. */
export class Kinds {
  readonly #byAgent = new Map<string, Map<string, (Kind | undefined)[]>>();
  readonly #seen: SeenVersions<Place, SessionRow>;

  constructor(seen: SeenVersions<Place, SessionRow>) {
    this.#seen = seen;
  }

  find({ agent, provider, isIdle }: SessionRow): Kind | undefined {
    return this.#byAgent.get(agent)?.get(provider)?.[Number(isIdle)];
  }

  /** The kind of a row, made when it is the first. */
  of(row: SessionRow): Kind {
    const found = this.find(row);
    if (found !== undefined) return found;
    const byProvider = this.#byAgent.get(row.agent) ?? new Map<string, (Kind | undefined)[]>();
    this.#byAgent.set(row.agent, byProvider);
    const kinds = byProvider.get(row.provider) ?? [undefined, undefined];
    byProvider.set(row.provider, kinds);
    return (kinds[Number(row.isIdle)] = new Kind(row, this.#seen));
  }

  all(): readonly Kind[] {
    const lists = [...this.#byAgent.values()].flatMap((byProvider) => [...byProvider.values()]);
    return lists.flat().filter((kind) => kind !== undefined);
  }
}
