// Arguments that commands which ask for work have in common: the prompt, numbers, words that may come again.
import { Fault } from '#libs/kernel/fault.ts';
import type { CliContext } from './context.ts';

const invalid = (message: string): Fault => new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message });

/** The number of a flag. Throws `ARGUMENT_INVALID` (never). */
export const wholeNumber = (flag: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined;
  if (/^-?\d+$/.test(text)) return Number(text);
  throw invalid(`${flag} ${JSON.stringify(text)}: expected a whole number`);
};

/** The words given, or standard input. Throws `ARGUMENT_INVALID` (never) when both are empty. */
export const promptOf = async (
  context: CliContext,
  words: readonly string[],
  example: string,
): Promise<string> => {
  const isPiped = words.length === 0 || (words.length === 1 && words[0] === '-');
  const prompt = isPiped ? await context.readStandardInput() : words.join(' ');
  if (prompt !== undefined && prompt.trim() !== '') return prompt;
  throw invalid(`a prompt is needed: ${example}, or text on standard input`);
};

/** For a flag that may be given again and again. */
export const collect = (value: string, known: readonly string[] | undefined): string[] => [
  ...(known ?? []),
  value,
];
