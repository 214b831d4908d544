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

/** Passed on from the runner's environment: its own key, where its model is, and its limits. */
export const CLAUDE_NAMES = [
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'ANTHROPIC_BASE_URL',
  'ANTHROPIC_MODEL',
  'CLAUDE_CODE_OAUTH_TOKEN',
  'CLAUDE_CODE_MAX_RETRIES',
  'CLAUDE_CONFIG_DIR',
  'API_TIMEOUT_MS',
  'IS_SANDBOX',
] as const;

/** A program that nobody watches neither updates itself in the middle of the work nor talks to anyone but its model. */
export const CLAUDE_SETTINGS: Readonly<Record<string, string>> = {
  DISABLE_AUTOUPDATER: '1',
  DISABLE_TELEMETRY: '1',
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
};

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
