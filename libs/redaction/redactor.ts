// Takes secrets out of texts and JSON values before they are stored, logged or shown: by name, by shape, by known value.
// Pure and linear; never throws; keeps the structure; a second pass finds nothing more. Give it whole records: a secret that is
// split over two calls is not found. It does not find secrets that look like ordinary words and stand under ordinary names.
import { findAssignments, mayNameSecret } from './assignments.ts';
import { findLiterals, literalPattern } from './literals.ts';
import { isAmountName, isNeutralName, isSecretName } from './names.ts';
import { findShapes, shapeAnchors } from './shapes.ts';
import { isMarker, marker, replaceSpans, type Rule, type Span } from './span.ts';

/** What came out, and how much was taken out. `value` is the very same value when nothing was found. */
interface Redacted<T> {
  readonly value: T;
  /** Secrets replaced. */
  readonly found: number;
  readonly byRule: Readonly<Partial<Record<Rule, number>>>;
}

export interface Redactor {
  /** Redacts a text. */
  text(text: string): Redacted<string>;
  /** Redacts a JSON value: strings everywhere, keys too, and whatever stands under a secret name. Containers without a secret are returned as they are. */
  value(value: unknown): Redacted<unknown>;
  /**
   * Redacts a body: JSON by {@link value} (written again only when something was found: numbers beyond 2^53 then lose digits),
   * anything else as UTF-8 text. Bytes that are not UTF-8 are returned as they are unless something was found.
   */
  bytes(body: Uint8Array): Redacted<Uint8Array>;
}

interface RedactorOptions {
  /** Secrets of this process by value; those shorter than 8 characters are ignored. Found also URL-encoded, JSON-escaped and in base64. */
  readonly literals?: Iterable<string>;
}

/** Deeper values are cut off: nothing of ours is, and the stack is not endless. */
const deepest = 512;

/** More than one round is needed only when replacing uncovered something new, e.g. a token glued to another. */
const mostRounds = 4;

const shapeCandidate = new RegExp(shapeAnchors);

type Tally = Map<Rule, number>;

const count = (tally: Tally, rule: Rule): void => {
  tally.set(rule, (tally.get(rule) ?? 0) + 1);
};

const result = <T>(value: T, tally: Tally): Redacted<T> => ({
  value,
  found: [...tally.values()].reduce((sum, amount) => sum + amount, 0),
  byRule: Object.fromEntries(tally),
});

/** Redacts one text, counting into the tally. */
type TextPass = (text: string, tally: Tally) => string;

const textPass = (literals: RegExp | undefined): TextPass => {
  const round: TextPass = (text, tally) => {
    const spans: Span[] = [];
    if (shapeCandidate.test(text)) findShapes(text, spans);
    if (mayNameSecret(text)) findAssignments(text, spans);
    if (literals !== undefined) findLiterals(text, literals, spans);
    return spans.length === 0 ? text : replaceSpans(text, spans, (rule) => count(tally, rule));
  };
  return (text, tally) => {
    let current = text;
    for (let rounds = 0; rounds < mostRounds; rounds += 1) {
      const next = round(current, tally);
      if (next === current) break;
      current = next;
    }
    return current;
  };
};

/** What a value stands under: an ordinary name, a secret one, or a secret one whose numbers are amounts. */
type Context = 'plain' | 'secret' | 'amount';

/** What is known of a key; keys repeat endlessly, so it is kept. */
interface KeyFacts {
  /** What its value stands under when the object is plain. */
  readonly context: Context;
  readonly isNeutral: boolean;
  /** The key holds no secret itself. */
  readonly isClean: boolean;
}

const mostKeys = 4_096;

class KeyBook {
  readonly #text: TextPass;
  readonly #known = new Map<string, KeyFacts>();

  constructor(text: TextPass) {
    this.#text = text;
  }

  of(key: string): KeyFacts {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    // By the name as it will stand: a second pass then judges alike.
    const clean = this.#text(key, new Map());
    const facts: KeyFacts = {
      context: isSecretName(clean) ? (isAmountName(clean) ? 'amount' : 'secret') : 'plain',
      isNeutral: isNeutralName(clean),
      isClean: clean === key,
    };
    if (this.#known.size >= mostKeys) this.#known.clear();
    if (key.length <= 64 && facts.isClean) this.#known.set(key, facts);
    return facts;
  }
}

/** A shorter text holds no secret: even `_pwd=a1` has seven characters. */
const shortestText = 7;

class ValuePass {
  readonly #text: TextPass;
  readonly #keys: KeyBook;
  readonly #tally: Tally;

  constructor(text: TextPass, keys: KeyBook, tally: Tally) {
    this.#text = text;
    this.#keys = keys;
    this.#tally = tally;
  }

  walk(value: unknown, context: Context, depth: number): unknown {
    if (typeof value === 'string') return this.#string(value, context);
    if (typeof value === 'number' || typeof value === 'bigint') {
      return context === 'secret' ? this.#mark('named') : value;
    }
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
    if (depth >= deepest) return this.#mark('depth');
    if (Array.isArray(value)) return this.#array(value, context, depth);
    return this.#object(value, context, depth);
  }

  #mark(rule: Rule): string {
    count(this.#tally, rule);
    return marker(rule);
  }

  #string(text: string, context: Context): string {
    if (context === 'plain') return text.length < shortestText ? text : this.#text(text, this.#tally);
    return text === '' || isMarker(text) ? text : this.#mark('named');
  }

  /** A list of arguments has names too: what follows `--password` is one. */
  #array(items: readonly unknown[], context: Context, depth: number): readonly unknown[] {
    let changed: unknown[] | undefined;
    let own = context;
    for (const [index, item] of items.entries()) {
      const next = this.walk(item, own, depth + 1);
      if (next !== item) {
        changed ??= [...items];
        changed[index] = next;
      }
      own = this.#namesNext(item, items[index + 1]) ? 'secret' : context;
    }
    return changed ?? items;
  }

  /** Whether an argument is like `--password`, before something that is no flag. */
  #namesNext(item: unknown, following: unknown): boolean {
    if (typeof item !== 'string' || !item.startsWith('-') || !/^--?[A-Za-z][\w-]{0,63}$/.test(item))
      return false;
    if (typeof following === 'string' && following.startsWith('-')) return false;
    const { context, isClean } = this.#keys.of(item);
    return isClean && context !== 'plain';
  }

  /** What the value of a pair like `{ "name": "DB_PASSWORD", "value": … }` stands under. */
  #pairContext(record: Readonly<Record<string, unknown>>): Context {
    if (!Object.hasOwn(record, 'value')) return 'plain';
    const name = record['name'] ?? record['key'] ?? record['header'];
    return typeof name === 'string' ? this.#keys.of(name).context : 'plain';
  }

  #object(source: object, context: Context, depth: number): unknown {
    const record = source as Readonly<Record<string, unknown>>;
    const keys = Object.keys(record);
    const pair = this.#pairContext(record);
    let entries: [string, unknown][] | undefined;
    for (const [index, key] of keys.entries()) {
      const facts = this.#keys.of(key);
      const value = record[key];
      const next = this.walk(
        value,
        key === 'value' && pair !== 'plain' ? pair : within(context, facts),
        depth + 1,
      );
      if (entries === undefined && next === value && facts.isClean) continue;
      entries ??= keys.slice(0, index).map((earlier) => [earlier, record[earlier]]);
      entries.push([facts.isClean ? key : unused(this.#text(key, this.#tally), entries), next]);
    }
    return entries === undefined ? source : Object.fromEntries(entries);
  }
}

const within = (outer: Context, { context, isNeutral }: KeyFacts): Context => {
  if (outer === 'plain') return context;
  return isNeutral ? 'plain' : outer;
};

/** Two secret keys must not become one. */
const unused = (name: string, entries: readonly [string, unknown][]): string => {
  const taken = entries.filter(([key]) => key === name || key.startsWith(`${name}#`)).length;
  return taken === 0 ? name : `${name}#${taken + 1}`;
};

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** `undefined` when the text is not JSON. */
const parsed = (text: string): { readonly value: unknown } | undefined => {
  const first = text.trimStart().charAt(0);
  if (!'{["'.includes(first) || first === '') return undefined;
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
};

/** A redactor; make one a process and share it. */
export const createRedactor = (options: RedactorOptions = {}): Redactor => {
  const literals = literalPattern(options.literals ?? []);
  const pass = textPass(literals);
  const keys = new KeyBook(pass);
  /** An escaped character could hide an anchor. */
  const mayHide = (raw: string): boolean =>
    shapeCandidate.test(raw) ||
    mayNameSecret(raw) ||
    raw.includes('\\u') ||
    raw.includes('\\/') ||
    (literals !== undefined && raw.search(literals) !== -1);
  return {
    text: (text) => {
      const tally: Tally = new Map();
      return result(pass(text, tally), tally);
    },
    value: (value) => {
      const tally: Tally = new Map();
      return result(new ValuePass(pass, keys, tally).walk(value, 'plain', 0), tally);
    },
    bytes: (body) => {
      const tally: Tally = new Map();
      const raw = decoder.decode(body);
      if (!mayHide(raw)) return result(body, tally);
      const json = parsed(raw);
      if (json === undefined) {
        const text = pass(raw, tally);
        return result(text === raw ? body : encoder.encode(text), tally);
      }
      const value = new ValuePass(pass, keys, tally).walk(json.value, 'plain', 0);
      return result(value === json.value ? body : encoder.encode(JSON.stringify(value)), tally);
    },
  };
};
