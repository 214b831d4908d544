// The provider `claude`: Claude Code without a person, one process a turn (README.md). Does not decide what it may do: see the runner's
// setting `claudeArguments`.
import { createHash } from 'node:crypto';
import type { Clock } from '#libs/ports/clock.ts';
import { createLineProvider } from '#services/runner/providers/line-turn.ts';
import type { LineProtocol } from '#services/runner/providers/program-reader.ts';
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

const PROTOCOL: LineProtocol = {
  name: 'claude',
  // A line carries a whole tool result, an image maybe.
  maxLineBytes: 16 * 1024 * 1024,
  isWordByWord: false,
  // A process whose background work ends goes on with another turn by itself.
  goesAfterResult: false,
  createReader: createClaudeReader,
};

/** An id of ours as a UUID, which is what it calls its messages by. The same for the same id. */
const uuidOf = (id: string): string => {
  const digest = createHash('sha256').update(id).digest();
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x80;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const [all = '', ...parts] = /^(.{8})(.{4})(.{4})(.{4})(.{12})/.exec(digest.toString('hex')) ?? [];
  return parts.length === 0 ? all : parts.join('-');
};

/** What it is told while it works, it takes up at its next tool result; what comes behind its last word, it does as a turn of its own. */
const STEERED: LineProtocol = {
  ...PROTOCOL,
  words: {
    place: 'input',
    encode: (content, uuid) =>
      `${JSON.stringify({ type: 'user', uuid, message: { role: 'user', content } })}\n`,
    idOf: uuidOf,
  },
};

/** The provider `claude` on this clock. `isSteered`: its standard input stays open for words while it works. */
export const createClaudeProvider = (clock: Clock, isSteered: boolean): Provider => {
  const plain = createLineProvider(PROTOCOL, clock);
  const steered = createLineProvider(STEERED, clock);
  return {
    name: PROTOCOL.name,
    start: (order, sink) => {
      // A turn that goes on after an answer has no prompt, and must not get an empty one.
      if (!isSteered || order.prompt === '') return plain.start(order, sink);
      return steered.start({ ...order, program: [...order.program, '--input-format', 'stream-json'] }, sink);
    },
  };
};
