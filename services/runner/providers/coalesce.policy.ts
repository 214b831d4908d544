// Joins what belongs together, so that a program that prints a word a line does not make an event a word. Order is kept.
// Pure.
import type { ProviderEvent } from '#services/runner/providers/provider.ts';

/** A joined piece is at most about this long. */
const MAX_CHARACTERS = 32_768;

const joined = (
  last: ProviderEvent | undefined,
  next: ProviderEvent,
  isWordByWord: boolean,
): ProviderEvent | undefined => {
  if (last === undefined) return undefined;
  if (isWordByWord && (last.kind === 'text' || last.kind === 'reasoning') && next.kind === last.kind)
    return last.text.length + next.text.length > MAX_CHARACTERS
      ? undefined
      : { kind: last.kind, text: last.text + next.text };
  if (last.kind === 'output' && next.kind === 'output' && last.stream === next.stream)
    return last.text.length + next.text.length > MAX_CHARACTERS
      ? undefined
      : { ...last, text: last.text + next.text };
  return undefined;
};

/**
 * The same events with neighbours of one kind joined: output of one stream, and text and reasoning where the program prints
 * them in pieces (`isWordByWord`).
 */
export const coalesce = (events: Iterable<ProviderEvent>, isWordByWord = true): readonly ProviderEvent[] => {
  const result: ProviderEvent[] = [];
  for (const event of events) {
    const join = joined(result.at(-1), event, isWordByWord);
    if (join === undefined) result.push(event);
    else result[result.length - 1] = join;
  }
  return result;
};
