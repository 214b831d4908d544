// What readers have seen: one key per reader and thing in the bucket `cursors`, written at the expected revision, so that of two writers the
// one who saw more wins whatever comes first. State, not events: nothing follows from it, only the last word counts, and everybody who
// looks at a list would write to a log that is kept for ever. Losing it shows read things as unread again, and nothing else.
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import type { Readable, SessionResultOf } from '#streams/session-requests.ts';
import { cursorKey, cursorSchema, type ReadCursor } from '#streams/session-view.ts';
import type { Boundary } from '#streams/subjects.ts';

/** Other writers of one reader's cursor can win this often. */
const MOST_TRIES = 8;

export interface Cursors {
  /** Moves the cursor to `version` unless it is there or beyond. Faults: the bucket's, `CURSOR_CONTENDED` (now). */
  markRead(
    boundary: Boundary,
    seen: { readonly of: Readable; readonly reader: string; readonly version: number },
  ): Promise<SessionResultOf<'mark-read'>>;
}

/** Cursors in the bucket of that name. */
export const createCursors = (kv: KeyValue, clock: Clock): Cursors => {
  const read = async (key: string) => {
    const entry = await kv.get(key);
    // What cannot be read is no cursor: it is written over.
    const parsed = entry === undefined ? undefined : cursorSchema.safeParse(parseJson(entry.value));
    return { revision: entry?.revision ?? 0, cursor: parsed?.success === true ? parsed.data : undefined };
  };

  return {
    markRead: async (boundary, { of: { kind, id }, reader, version }) => {
      const key = cursorKey(boundary, { kind, reader, id });
      for (let tries = 0; tries < MOST_TRIES; tries += 1) {
        const { revision, cursor } = await read(key);
        if (cursor !== undefined && cursor.seq >= version)
          return { reader, version: cursor.seq, readAt: cursor.readAt, moved: false };
        const readAt = clock.now();
        const value: ReadCursor = { seq: version, reader, kind, id, readAt };
        const outcome = await kv.put(key, jsonBytes(value), { expectedRevision: revision });
        if (outcome.kind === 'stored') return { reader, version, readAt, moved: true };
      }
      const message = `others moved the cursor ${key} ${MOST_TRIES} times in a row`;
      throw new Fault({ code: 'CURSOR_CONTENDED', retry: 'now', message });
    },
  };
};
