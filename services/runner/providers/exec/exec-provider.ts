// The provider `exec`: any program that reads its prompt from standard input and prints its events as lines of JSON (README.md).
import type { Clock } from '#libs/ports/clock.ts';
import { createLineProvider } from '#services/runner/providers/line-turn.ts';
import { event, type LineMeaning, type LineProtocol } from '#services/runner/providers/program-reader.ts';
import type { Line } from '#services/runner/providers/line-splitter.ts';
import type { Provider } from '#services/runner/providers/provider.ts';
import { readExecLine } from './exec-line.ts';

const read = (line: Line): readonly LineMeaning[] => {
  const meaning = readExecLine(line);
  if (meaning.kind === 'nothing') return [];
  if (meaning.kind === 'event') return [event(meaning.event)];
  const { closing, usage } = meaning;
  return [...(usage === null ? [] : [{ kind: 'usage', usage } as const]), { kind: 'closing', closing }];
};

/** How the lines of an `exec` program are taken. */
export const EXEC_PROTOCOL: LineProtocol = {
  name: 'exec',
  maxLineBytes: 1024 * 1024,
  isWordByWord: true,
  goesAfterResult: true,
  createReader: () => ({ read, session: () => undefined }),
};

/** The provider `exec` on this clock. */
export const createExecProvider = (clock: Clock): Provider => createLineProvider(EXEC_PROTOCOL, clock);
