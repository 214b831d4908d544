// What a projection is: a pure fold of one stream's entries into the keys of one bucket, with its codec. Values are JSON
// that a person can read, `{ "seq": <last entry folded into this key>, …state }`. Runs nothing (see run-projection.ts).
import { Fault } from '#libs/kernel/fault.ts';
import { textBytes } from '#libs/kernel/text-bytes.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { KeyValueEntry } from '#libs/ports/key-value.ts';

export interface Projection<Event, State extends object> {
  readonly name: string;
  /** Raise it when `key`, `initial`, `evolve` or the shape of the state change: the bucket is then rebuilt from the log. */
  readonly version: number;
  /** The stream it folds. */
  readonly stream: string;
  /** Which of the stream's subjects; must not be subsets of one another. */
  readonly subjects: readonly string[];
  /** The bucket it owns alone. */
  readonly bucket: string;
  /** The event of an entry; undefined: of no interest here. What it throws makes the entry poison. Pure. */
  readonly decode: (entry: StoredEntry) => Event | undefined;
  /** The key that the event changes; undefined: none. Tokens of `-/_=a-zA-Z0-9` with dots between, not beginning with `_`: anything else makes the entry poison. Pure. */
  readonly key: (event: Event, entry: StoredEntry) => string | undefined;
  /** Whether the event is the first of its key: then nothing is looked for. A hint: where it is wrong, the write finds out. Pure. */
  readonly begins?: (event: Event) => boolean;
  /** The state of a key before its first event. Plain JSON data without a field `seq`. */
  readonly initial: State;
  /** Pure; what it throws makes the entry poison. Returning `state` itself says that nothing changed, and nothing is written. */
  readonly evolve: (state: State, event: Event, entry: StoredEntry) => State;
  /**
   * `what-is-left`: the stream forgets (by age or size), and a rebuild folds what it still has; older keys disappear.
   * Default `whole`: a rebuild is refused when the head of the log is gone.
   */
  readonly history?: 'whole' | 'what-is-left';
  /** Checks a value read back from the bucket (without its `seq`); throws when it is not a state. */
  readonly parse: (value: unknown) => State;
}

/** The identity function, for inference of event and state. */
export const defineProjection = <Event, State extends object>(
  projection: Projection<Event, State>,
): Projection<Event, State> => projection;

/** A state and the sequence of the last entry that changed it; 0: none has. */
export interface Stamped<State> {
  readonly seq: number;
  readonly state: State;
}

const decoder = new TextDecoder();

/** The bytes of a key's value. */
export const encodeValue = <State extends object>({ seq, state }: Stamped<State>): Uint8Array => {
  const rest = JSON.stringify(state).slice(1);
  return textBytes(rest === '}' ? `{"seq":${seq}}` : `{"seq":${seq},${rest}`);
};

/** Splits a value into its stamp and the rest, unchecked. Throws when it is not of that form. */
const splitParsed = (parsed: unknown): Stamped<object> => {
  if (typeof parsed !== 'object' || parsed === null || !('seq' in parsed)) throw new Error('no field "seq"');
  const { seq, ...state } = parsed;
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0)
    throw new Error('"seq" is no sequence');
  return { seq, state };
};

/** The same of a value as it is stored. */
export const splitValue = (value: Uint8Array): Stamped<object> =>
  splitParsed(JSON.parse(decoder.decode(value)));

type Reader<State extends object> = Pick<Projection<never, State>, 'name' | 'bucket' | 'parse'>;

/** Reads a key's value back from what `parse` gives of it, such as its JSON. Throws `PROJECTION_VALUE_INVALID` (never) when it is not one of this projection's. */
export const decodeParsed = <State extends object>(
  projection: Reader<State>,
  { key, revision }: { readonly key: string; readonly revision?: number },
  parse: () => unknown,
): Stamped<State> => {
  try {
    const { seq, state } = splitParsed(parse());
    return { seq, state: projection.parse(state) };
  } catch (cause) {
    throw new Fault({
      code: 'PROJECTION_VALUE_INVALID',
      retry: 'never',
      message: `key ${key} of bucket ${projection.bucket} is not a value of projection ${projection.name}`,
      detail: { key, ...(revision !== undefined && { revision }) },
      cause,
    });
  }
};

/** As {@link decodeParsed}, of a value as it is stored. */
export const decodeValue = <State extends object>(
  projection: Reader<State>,
  { key, value, revision }: KeyValueEntry,
): Stamped<State> =>
  decodeParsed(projection, { key, revision }, () => JSON.parse(decoder.decode(value)) as unknown);
