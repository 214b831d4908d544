// Finds known secrets by value, in the forms they take inside other texts. Pure.
import { isPartOfMarker, type Span } from './span.ts';

/** Shorter ones would black out ordinary text. */
const shortest = 8;

const escapeRegex = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

const formsOf = (literal: string): readonly string[] => [
  literal,
  encodeURIComponent(literal.toWellFormed()),
  JSON.stringify(literal).slice(1, -1),
  Buffer.from(literal).toString('base64').replace(/=+$/, ''),
];

/** A global regex over all forms, longest first; undefined when there is nothing to look for. */
export const literalPattern = (literals: Iterable<string>): RegExp | undefined => {
  const forms = new Set<string>();
  for (const literal of literals) {
    if (literal.length < shortest) continue;
    for (const form of formsOf(literal)) forms.add(form);
  }
  // A literal inside our own markers would be replaced for ever.
  const usable = [...forms].filter((form) => !isPartOfMarker(form));
  if (usable.length === 0) return undefined;
  usable.sort((a, b) => b.length - a.length);
  return new RegExp(usable.map(escapeRegex).join('|'), 'g');
};

/** Adds the known secrets, in order of their start. */
export const findLiterals = (text: string, pattern: RegExp, found: Span[]): void => {
  pattern.lastIndex = 0;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    found.push({ start: match.index, end: match.index + match[0].length, rule: 'known' });
  }
};
