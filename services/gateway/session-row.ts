// What the orders and filters of sessions need of one, read from a value of the bucket without its schema.
import { idOfKey, list, text, whole } from '#libs/projections/row-fields.ts';

/** What sessionRowOf looks at. */
export const SESSION_ROW_FIELDS = [
  'seq',
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
  /** Of its value in the bucket. */
  readonly key: string;
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
export const sessionRowOf = (value: unknown, key: string): SessionRow => {
  const fields = value as Readonly<Partial<Record<(typeof SESSION_ROW_FIELDS)[number], unknown>>>;
  return {
    id: idOfKey(key),
    key,
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
