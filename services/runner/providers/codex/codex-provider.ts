// The provider `codex`: Codex without a person, one process a turn (README.md). Does not decide what it may do: see the runner's
// setting `codexArguments`.
import type { Clock } from '#libs/ports/clock.ts';
import { createLineProvider } from '#services/runner/providers/line-turn.ts';
import type { Provider } from '#services/runner/providers/provider.ts';
import type { ResumePoint } from '#services/runner/providers/turn-facts.ts';
import { createCodexReader } from './codex-reader.ts';

/** The program and its arguments. `more` stands before `resume`, because the sandbox is refused behind it. */
export const codexCommand = (
  program: string,
  more: readonly string[],
  resume: ResumePoint | undefined,
): readonly string[] => [
  program,
  'exec',
  '--json',
  '--skip-git-repo-check',
  ...more,
  ...(resume === undefined ? [] : ['resume', resume.providerSessionId]),
  // The prompt comes from standard input.
  '-',
];

/** Passed on from the runner's environment: its own key, and where its settings are. */
export const CODEX_NAMES = ['OPENAI_API_KEY', 'OPENAI_BASE_URL', 'CODEX_API_KEY', 'CODEX_HOME'] as const;

/** The provider `codex` on this clock. */
export const createCodexProvider = (clock: Clock): Provider =>
  createLineProvider(
    {
      name: 'codex',
      // A line carries a whole tool result.
      maxLineBytes: 16 * 1024 * 1024,
      isWordByWord: false,
      goesAfterResult: true,
      createReader: createCodexReader,
    },
    clock,
  );
