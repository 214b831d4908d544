// What a dead runner has said last that is worth telling: lines of its log that are warnings or worse, in words, and lines that are no log at
// all (a stack, a complaint of the system). What it said while all was well explains nothing. Pure.

const MOST_LINES = 8;
const MOST_CHARACTERS = 1000;

const LOUD: ReadonlySet<unknown> = new Set(['warn', 'error', 'fatal']);

/** The words of one line; undefined: it says nothing about an end. */
const wordsOf = (line: string): string | undefined => {
  if (line.trim() === '') return undefined;
  if (!line.startsWith('{')) return line.trim();
  try {
    const { level, message, error } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (!LOUD.has(level)) return undefined;
    const why =
      typeof error === 'string' ? error : (error as { readonly message?: unknown } | undefined)?.message;
    return [message, why].filter((part) => typeof part === 'string' && part !== '').join(': ') || undefined;
  } catch {
    return line.trim();
  }
};

/** `tail` is the end of its log; `isWhole`: it begins at the beginning of a line. */
export const telling = (tail: string, { isWhole }: { readonly isWhole: boolean }): string => {
  const lines = tail.split('\n').slice(isWhole ? 0 : 1);
  const words = lines.flatMap((line) => wordsOf(line) ?? []);
  return words.slice(-MOST_LINES).join('\n').slice(-MOST_CHARACTERS);
};
