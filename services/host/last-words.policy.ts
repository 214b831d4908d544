// What a dead runner has said last that is worth telling: lines of its log that are warnings or worse, in words, and lines that are no log at
// all (a stack, a complaint of the system). What it said while all was well explains nothing. Pure.

const MOST_LINES = 8;
const MOST_CHARACTERS = 1000;

const LOUD: ReadonlySet<unknown> = new Set(['warn', 'error', 'fatal']);

/** A complaint so much older than the last line has had no part in the end. */
const STALE_MS = 60_000;

interface Words {
  readonly text: string;
  readonly atMs: number;
  /** That the broker is away: over, once it is back. */
  readonly isOutage: boolean;
}

// oxlint-disable-next-line no-restricted-globals -- reads a text, not the clock
const timeOf = (time: unknown): number => (typeof time === 'string' ? Date.parse(time) : Number.NaN);

const textOf = ({ level, message, error, signal }: Readonly<Record<string, unknown>>): string | undefined => {
  // It was asked, and went in good order: a fact that explains more than any complaint.
  if (level === 'info' && typeof signal === 'string') return `it was told to end (${signal})`;
  if (!LOUD.has(level)) return undefined;
  const why =
    typeof error === 'string' ? error : (error as { readonly message?: unknown } | undefined)?.message;
  return [message, why].filter((part) => typeof part === 'string' && part !== '').join(': ') || undefined;
};

/** Adds what one line says about an end, or takes away what it shows to be over. */
const addLine = (words: readonly Words[], line: string): readonly Words[] => {
  if (line.trim() === '') return words;
  const plain = { text: line.trim(), atMs: words.at(-1)?.atMs ?? Number.NaN, isOutage: false };
  if (!line.startsWith('{')) return [...words, plain];
  try {
    const fields = JSON.parse(line) as Readonly<Record<string, unknown>>;
    const atMs = timeOf(fields['time']);
    const stale = (one: Words): boolean => atMs - one.atMs > STALE_MS;
    const isBack = fields['kind'] === 'reconnected';
    const kept = words.filter((one) => !stale(one) && !(isBack && one.isOutage));
    const text = textOf(fields);
    if (text === undefined) return kept;
    return [...kept, { text, atMs, isOutage: fields['kind'] === 'disconnected' }];
  } catch {
    return [...words, plain];
  }
};

/** `tail` is the end of its log; `isWhole`: it begins at the beginning of a line. */
export const telling = (tail: string, { isWhole }: { readonly isWhole: boolean }): string => {
  const lines = tail.split('\n').slice(isWhole ? 0 : 1);
  const words = lines.reduce<readonly Words[]>(addLine, []);
  return words
    .map(({ text }) => text)
    .slice(-MOST_LINES)
    .join('\n')
    .slice(-MOST_CHARACTERS);
};
