// Markdown from data: tables, code, units. Pure; knows nothing of what it shows.

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** A table; cells are escaped. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows.map((row) => row.map(cell))]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');

/** A fenced block. */
export const block = (language: string, text: string): string => `\`\`\`${language}\n${text}\n\`\`\``;

/** Inline code. */
export const code = (text: string): string => `\`${text}\``;

/** A value as readable JSON. */
export const json = (value: unknown): string => block('json', JSON.stringify(value, undefined, 2));

const DAY_MS = 86_400_000;

/** An age limit: `30 days`, `for ever`. */
export const age = (ms: number | undefined): string =>
  ms === undefined || ms === 0 ? 'for ever' : `${ms / DAY_MS} days`;

/** A size limit: `2 GiB`, `no limit`. */
export const size = (bytes: number | undefined): string => {
  if (bytes === undefined) return 'no limit';
  const gib = bytes / 1024 ** 3;
  return gib >= 1 ? `${gib} GiB` : `${bytes / 1024 ** 2} MiB`;
};
