// A value that one instance owns and others may take over: how far something has come, as JSON under one key. What its bytes say is checked by
// whoever knows its fields.
import type { KeyValueEntry } from '#libs/ports/key-value.ts';

/** Owner of what was handed back: whoever stands by takes over at once. */
export const NOBODY = '';

/** A value as it is in the bucket; `revision` 0: there is none. */
export interface OwnedValue<Value> {
  readonly value: Value | undefined;
  readonly revision: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const encodeOwned = (value: object): Uint8Array => encoder.encode(JSON.stringify(value));

/** The value undefined: its bytes are none (edited by hand). */
export const decodeOwned = <Value>(
  entry: KeyValueEntry | undefined,
  parse: (value: unknown) => Value | undefined,
): OwnedValue<Value> => {
  if (entry === undefined) return { value: undefined, revision: 0 };
  try {
    return { value: parse(JSON.parse(decoder.decode(entry.value))), revision: entry.revision };
  } catch {
    return { value: undefined, revision: entry.revision };
  }
};

export const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
