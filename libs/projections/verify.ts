// Proves a projection: folds the log again in memory and compares every key of the bucket with what it should be. Works
// while live traffic goes on: the bucket is read first, then each key is folded up to what it had seen when it was read
// (its own sequence, or the position if that is further). Names the first key, in order of keys, that differs.
// Memory: the bucket twice. Changes nothing.
import { Fault } from '#libs/kernel/fault.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { KeyValue, KeyValueEntry } from '#libs/ports/key-value.ts';
import { foldLog } from './fold.ts';
import { keyChunks } from './key-chunks.ts';
import { readPosition } from './position.ts';
import { type Projection, splitValue, type Stamped } from './projection.ts';

/** `expected` and `actual` are values as in the bucket; undefined: the key should not be, or is not, there. */
export type Verification =
  | { readonly equal: true; readonly keys: number; readonly seq: number }
  | {
      readonly equal: false;
      readonly key: string;
      readonly expected: Stamped<object> | undefined;
      readonly actual: Stamped<object> | { readonly unreadable: string } | undefined;
      readonly seq: number;
    };

type Actual = Stamped<object> | { readonly unreadable: string };

export interface VerifyOptions<Event, State extends object> {
  readonly projection: Projection<Event, State>;
  readonly log: EventLog;
  readonly kv: KeyValue;
  readonly signal?: AbortSignal;
}

/** JSON with sorted keys: equal texts are equal data. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });

const toActual = (entry: KeyValueEntry): Actual => {
  try {
    return splitValue(entry.value);
  } catch (error) {
    return { unreadable: String(error) };
  }
};

const seqOf = (actual: Actual | undefined): number =>
  actual === undefined || 'unreadable' in actual ? 0 : actual.seq;

const isEqual = (expected: Stamped<object> | undefined, actual: Actual | undefined): boolean => {
  if (expected === undefined || actual === undefined) return expected === actual;
  if ('unreadable' in actual || expected.seq !== actual.seq) return false;
  return canonical(expected.state) === canonical(actual.state);
};

const readAll = async (kv: KeyValue): Promise<Map<string, Actual>> => {
  const found = new Map<string, Actual>();
  for await (const keys of keyChunks(kv))
    for (const [key, entry] of await kv.getMany(keys)) found.set(key, toActual(entry));
  return found;
};

/** Times that keys which differ are read again: they may have been deleted, or read from a replica that lagged. */
const SECOND_LOOKS = 3;

class Verifier<Event, State extends object> {
  readonly #options: VerifyOptions<Event, State>;
  #position = 0;

  constructor(options: VerifyOptions<Event, State>) {
    this.#options = options;
  }

  async run(): Promise<Verification> {
    const { kv } = this.#options;
    this.#position = (await readPosition(kv)).position?.seq ?? 0;
    await this.#assertWhole();
    const actuals = await readAll(kv);
    const { expected, different } = await this.#compare(actuals, 'all keys');
    const { size } = expected;
    let suspects = different;
    for (let look = 0; look < SECOND_LOOKS && suspects.length > 0; look += 1) {
      const again = new Map<string, Actual | undefined>();
      for (const key of suspects) {
        const entry = await kv.get(key);
        again.set(key, entry === undefined ? undefined : toActual(entry));
      }
      const found = await this.#compare(again, 'these keys');
      suspects = found.different;
      const key = suspects[0];
      if (key === undefined || look < SECOND_LOOKS - 1) continue;
      await this.#assertHistory(key);
      return {
        equal: false,
        key,
        expected: found.expected.get(key),
        actual: again.get(key),
        seq: this.#position,
      };
    }
    return { equal: true, keys: size, seq: this.#position };
  }

  /** What was folded from entries that the log no longer ends with cannot be compared. */
  async #assertWhole(): Promise<void> {
    const { log, projection } = this.#options;
    const { lastSeq } = await log.bounds();
    if (this.#position <= lastSeq) return;
    throw new Fault({
      code: 'VERIFY_LOG_SHORTER',
      retry: 'never',
      message: `stream ${log.stream} ends at ${lastSeq}, and bucket ${projection.bucket} was folded up to ${this.#position}: the stream has lost its tail, or is another one; rebuild ${projection.name} to go on from what is left`,
      detail: { lastSeq, position: this.#position },
    });
  }

  /** With the head of the log gone, a difference proves nothing: what it said may be in the bucket only. */
  async #assertHistory(key: string): Promise<void> {
    const { log } = this.#options;
    const { firstSeq } = await log.bounds();
    if (firstSeq <= 1) return;
    throw new Fault({
      code: 'VERIFY_HISTORY_GONE',
      retry: 'never',
      message: `key ${key} differs, but stream ${log.stream} begins at ${firstSeq}: what it was folded from may be gone`,
      detail: { key, firstSeq },
    });
  }

  /** Folds each key up to what it had seen, and names those that differ, sorted. `all keys`: those of the log that the bucket lacks, too. */
  async #compare(
    actuals: ReadonlyMap<string, Actual | undefined>,
    scope: 'all keys' | 'these keys',
  ): Promise<{ readonly expected: Map<string, Stamped<State>>; readonly different: readonly string[] }> {
    const { projection, log, signal } = this.#options;
    let toSeq = this.#position;
    for (const actual of actuals.values()) toSeq = Math.max(toSeq, seqOf(actual));
    const lastSeqOf = (key: string): number | undefined =>
      scope === 'these keys' && !actuals.has(key)
        ? undefined
        : Math.max(this.#position, seqOf(actuals.get(key)));
    const expected = await foldLog(projection, log, {
      toSeq,
      lastSeqOf,
      ...(signal === undefined ? {} : { signal }),
    });
    if (signal?.aborted === true)
      throw new Fault({
        code: 'VERIFY_STOPPED',
        retry: 'later',
        message: 'the verification was told to stop',
      });
    const keys = new Set([...actuals.keys(), ...expected.keys()]);
    const different = [...keys].filter((key) => !isEqual(expected.get(key), actuals.get(key)));
    return { expected, different: different.sort() };
  }
}

/** Compares bucket and log. Throws the faults of both, `VERIFY_STOPPED` (later), `VERIFY_HISTORY_GONE` and `VERIFY_LOG_SHORTER` (never). */
export const verifyProjection = <Event, State extends object>(
  options: VerifyOptions<Event, State>,
): Promise<Verification> => new Verifier(options).run();
