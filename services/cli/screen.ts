// A text that stands still on a terminal and changes in its place. Pure: gives what is to be written.

const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

/** Size of a terminal, in characters. */
export interface ScreenSize {
  readonly rows: number;
  readonly columns: number;
}

const cut = (line: string, columns: number): string => {
  const characters = Array.from(line);
  return characters.length <= columns ? line : `${characters.slice(0, columns - 1).join('')}…`;
};

/**
 * What shows `text` from the upper left corner on, over what stood there, without flicker. Lines that are too long are cut; of too many
 * lines the first ones are shown, and how many more there are.
 */
export const frameOf = (text: string, { rows, columns }: ScreenSize): string => {
  const lines = text.split('\n');
  // The last row stays free for the cursor.
  const most = Math.max(2, rows - 1);
  const shown =
    lines.length <= most
      ? lines
      : [
          ...lines.slice(0, most - 1),
          `… and ${lines.length - most + 1} more lines: a higher window shows them`,
        ];
  return `${HOME}${shown.map((line) => `${cut(line, columns)}${CLEAR_LINE}\n`).join('')}${CLEAR_BELOW}`;
};
