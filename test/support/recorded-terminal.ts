// A terminal that keeps what a command writes, line by line.
import type { Terminal } from '#services/cli/context.ts';

export interface RecordedTerminal {
  readonly terminal: Terminal;
  readonly out: readonly string[];
  readonly note: readonly string[];
}

/** Not a screen: what would be redrawn there is written once more. */
export const recordedTerminal = (): RecordedTerminal => {
  const out: string[] = [];
  const note: string[] = [];
  return {
    terminal: {
      out: (line) => void out.push(line),
      note: (line) => void note.push(line),
      flushed: () => Promise.resolve(),
    },
    out,
    note,
  };
};
