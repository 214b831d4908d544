// The provider `claude`: Claude Code without a person, one process a turn (README.md). Does not decide what it may do: see the runner's
// setting `claudeArguments`.
import type { Clock } from '#libs/ports/clock.ts';
import { createLineProvider } from '#services/runner/providers/line-turn.ts';
import type { Provider } from '#services/runner/providers/provider.ts';
import type { ResumePoint } from '#services/runner/providers/turn-facts.ts';
import { createClaudeReader } from './claude-reader.ts';

/** The program and its arguments. The prompt goes to its standard input: an argument holds 128 KiB at most. */
export const claudeCommand = (
  program: string,
  more: readonly string[],
  resume: ResumePoint | undefined,
): readonly string[] => [
  program,
  '-p',
  '--output-format',
  'stream-json',
  // stream-json is refused without it.
  '--verbose',
  ...(resume === undefined ? [] : ['--resume', resume.providerSessionId]),
  ...more,
];

/** The provider `claude` on this clock. */
export const createClaudeProvider = (clock: Clock): Provider =>
  createLineProvider(
    {
      name: 'claude',
      // A line carries a whole tool result, an image maybe.
      maxLineBytes: 16 * 1024 * 1024,
      isWordByWord: false,
      // A process whose background work ends goes on with another turn by itself.
      goesAfterResult: false,
      createReader: createClaudeReader,
    },
    clock,
  );
