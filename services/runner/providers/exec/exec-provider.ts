// The provider `exec`: any program that reads its prompt from standard input and prints its events as lines of JSON (README.md).
import type { Clock } from '#libs/ports/clock.ts';
import { createLineProvider } from '#services/runner/providers/line-turn.ts';
import { unknownLine } from '#services/runner/providers/json-line.ts';
import {
  event,
  type LineMeaning,
  type LineProtocol,
  type ProgramReader,
} from '#services/runner/providers/program-reader.ts';
import type { Provider } from '#services/runner/providers/provider.ts';
import { readExecLine, type ExecMeaning } from './exec-line.ts';

/** The version of the lines that this runner knows; its programs find it in {@link LINES_VARIABLE}. */
export const LINES_VERSION = 1;
/** A variable of the environment of every `exec` program. */
export const LINES_VARIABLE = 'FLEETLOG_LINES';

const refused = (lines: number): LineMeaning => ({
  kind: 'closing',
  closing: {
    outcome: 'failed',
    summary: '',
    message: `the program speaks version ${lines} of the lines, and this runner knows ${LINES_VERSION}: update the runner, or have the program speak ${LINES_VERSION} (${LINES_VARIABLE})`,
  },
});

const meaningsOf = (meaning: Exclude<ExecMeaning, { readonly kind: 'hello' }>): readonly LineMeaning[] => {
  if (meaning.kind === 'nothing') return [];
  if (meaning.kind === 'steerable' || meaning.kind === 'taken-up') return [meaning];
  if (meaning.kind === 'event') return [event(meaning.event)];
  const { closing, usage } = meaning;
  return [...(usage === null ? [] : [{ kind: 'usage', usage } as const]), { kind: 'closing', closing }];
};

/** What a program of another version says is not taken for what it seems to be: its lines are kept as they are. */
const createReader = (): ProgramReader => {
  let isRefused = false;
  return {
    read: (line) => {
      if (isRefused)
        return [event(unknownLine(line.bytes.toString(), 'of a version not known here', line.cutBytes))];
      const meaning = readExecLine(line);
      if (meaning.kind !== 'hello') return meaningsOf(meaning);
      isRefused = meaning.lines !== LINES_VERSION;
      return isRefused ? [refused(meaning.lines)] : [];
    },
    session: () => undefined,
  };
};

/** How the lines of an `exec` program are taken. */
export const EXEC_PROTOCOL: LineProtocol = {
  name: 'exec',
  maxLineBytes: 1024 * 1024,
  isWordByWord: true,
  goesAfterResult: true,
  words: {
    place: 'own',
    encode: (text, commandId) => `${JSON.stringify({ type: 'steer', commandId, text })}\n`,
  },
  createReader,
};

/** The provider `exec` on this clock. */
export const createExecProvider = (clock: Clock): Provider => createLineProvider(EXEC_PROTOCOL, clock);
