// What a session or a task is to a reader: going on, unread or read (ST-30, ST-55), and where the reader's cursor stands. Pure but for the
// view of cursors.
import type { ReadView } from '#libs/projections/read-view.ts';
import { oneOf, text, whole } from '#libs/projections/row-fields.ts';
import { cursorKey, cursorSchema, type ReadCursor } from '#streams/session-view.ts';
import type { Boundary } from '#streams/subjects.ts';

/** What the indexes need of a cursor. */
export interface CursorRow {
  readonly kind: ReadCursor['kind'];
  readonly reader: string;
  readonly id: string;
  readonly version: number;
  readonly readAt: number;
}

/** What cursorRowOf looks at. */
export const CURSOR_ROW_FIELDS = Object.keys(cursorSchema.shape);

const KINDS: ReadonlySet<ReadCursor['kind']> = new Set(cursorSchema.shape.kind.options);

/** The row of a value of the bucket `cursors`; throws for what is none. */
export const cursorRowOf = (value: unknown): CursorRow => {
  const { seq, kind, reader, id, readAt } = value as Readonly<Partial<Record<keyof ReadCursor, unknown>>>;
  return {
    kind: oneOf(kind, KINDS),
    reader: text(reader),
    id: text(id),
    version: whole(seq),
    readAt: whole(readAt),
  };
};

export interface Attention {
  readonly active: boolean;
  readonly unread: boolean;
  readonly attentionState: 'active' | 'unread' | 'read';
  readonly readerId: string | null;
  readonly readCursor: { readonly version: number; readonly readAt: number } | null;
}

/** Of a thing of this version to a reader; without one, what is not going on is unread. */
export const attentionOf = (
  thing: {
    readonly kind: ReadCursor['kind'];
    readonly id: string;
    readonly version: number;
    readonly active: boolean;
  },
  reader: string | undefined,
  {
    cursors,
    boundary,
  }: { readonly cursors: ReadView<Omit<ReadCursor, 'seq'>, CursorRow>; readonly boundary: Boundary },
): Attention => {
  const { kind, id, version, active } = thing;
  cursors.settle();
  const cursor = reader === undefined ? undefined : cursors.row(cursorKey(boundary, { kind, reader, id }));
  const unread = !active && (cursor?.version ?? 0) < version;
  const inactive = unread ? ('unread' as const) : ('read' as const);
  return {
    active,
    unread,
    attentionState: active ? 'active' : inactive,
    readerId: reader ?? null,
    readCursor: cursor === undefined ? null : { version: cursor.version, readAt: cursor.readAt },
  };
};
