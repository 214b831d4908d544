// Writes of many keys where one must not spoil the others: values that the bucket refuses, and keys that are put right from
// the log. Does not settle conflicts: the caller reads back.
import { toFault } from '#libs/kernel/fault.ts';
import type { KeyValue, PutOutcome } from '#libs/ports/key-value.ts';
import { foldLog } from './fold.ts';
import type { ProjectionParts } from './parts.ts';
import { encodeValue } from './projection.ts';

export interface KeyPut {
  readonly key: string;
  readonly value: Uint8Array;
  readonly options: { readonly expectedRevision: number };
}

/** Undefined: refused. */
export type KeyOutcome = PutOutcome | undefined;

const isRefused = (error: unknown): boolean => toFault(error).code === 'KV_REFUSED';

/** Puts everything; when the bucket refuses one, each is put on its own and `onRefused` is told of the index. Throws the bucket's other faults. */
export const putKeys = async (
  kv: KeyValue,
  puts: readonly KeyPut[],
  onRefused: (at: number, error: unknown) => Promise<void>,
): Promise<readonly KeyOutcome[]> => {
  try {
    return await kv.putMany(puts);
  } catch (error) {
    if (!isRefused(error)) throw error;
  }
  const outcomes: KeyOutcome[] = [];
  for (const [at, { key, value, options }] of puts.entries()) {
    try {
      outcomes.push(await kv.put(key, value, options));
    } catch (error) {
      if (!isRefused(error)) throw error;
      await onRefused(at, error);
      outcomes.push(undefined);
    }
  }
  return outcomes;
};

/** Writes what the log up to `toSeq` says of `keys`, whatever the bucket holds. Another writer who comes between wins. */
export const refoldKeys = async <Event, State extends object>(
  { projection, log, kv }: Pick<ProjectionParts<Event, State>, 'projection' | 'log' | 'kv'>,
  keys: ReadonlySet<string>,
  toSeq: number,
): Promise<void> => {
  const lastSeqOf = (key: string): number | undefined => (keys.has(key) ? toSeq : undefined);
  for (const [key, stamped] of await foldLog(projection, log, { toSeq, lastSeqOf })) {
    const revision = (await kv.get(key))?.revision ?? 0;
    await kv.put(key, encodeValue(stamped), { expectedRevision: revision });
  }
};
