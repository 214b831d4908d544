// A line of a program as a JSON object, or why it is none. Pure.
import type { z } from 'zod';
import type { Line } from './line-splitter.ts';
import type { ProviderEvent } from './provider.ts';

export type JsonLine =
  | { readonly kind: 'object'; readonly value: object; readonly content: string }
  | { readonly kind: 'empty' }
  | { readonly kind: 'unknown'; readonly event: ProviderEvent };

/** A line that was not understood. */
export const unknownLine = (line: string, reason: string, cutBytes = 0): ProviderEvent => ({
  kind: 'unknown-line',
  line,
  reason: reason.slice(0, 500),
  cutBytes,
});

/** Why a schema turned a value down, on one line. */
export const reasonOf = (error: z.ZodError): string =>
  error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');

const parse = (content: string): unknown => {
  // Some programs begin their output with a byte order mark, which counts as a blank here.
  const text = content.trimStart();
  // A failing parse is dear, and a flood of plain text would pay it for every line.
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

/** Reads a line. Never throws. */
export const readJsonLine = ({ bytes, cutBytes }: Line): JsonLine => {
  const content = bytes.toString('utf8').replace(/\r$/, '');
  if (cutBytes > 0)
    return { kind: 'unknown', event: unknownLine(content, 'longer than the limit of a line', cutBytes) };
  if (content.trim() === '') return { kind: 'empty' };
  const value = parse(content);
  if (typeof value !== 'object' || value === null)
    return { kind: 'unknown', event: unknownLine(content, 'not a JSON object') };
  return { kind: 'object', value, content };
};
