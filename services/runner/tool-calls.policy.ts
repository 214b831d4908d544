// What the tool calls of a turn were for, as far as their names and commands say: gathering context (reading, searching, fetching) or doing
// something. Pure. A call that cannot be told counts as doing: the share of gathering is never overstated.

/** First words of the names of tools that only look. */
const LOOKING: ReadonlySet<string> = new Set(
  `read grep glob ls list search find fetch webfetch websearch web view cat show get lookup query inspect open inbox obligations
  codesearch toolsearch notebookread lsp`.split(/\s+/),
);
/** Tools that run a command: what it is for is in the command. */
const SHELLS: ReadonlySet<string> = new Set([
  'bash',
  'shell',
  'sh',
  'command',
  'execute',
  'exec',
  'local_shell',
  'run_shell_command',
  'run_terminal_command',
  'exec_command',
]);
/** Programs that only look. */
const LOOKERS: ReadonlySet<string> = new Set(
  `cat head tail less more ls tree find fd grep egrep rg ag wc stat file du df pwd which type nl sort uniq cut cd jq yq diff cmp env
  printenv date uname whoami id ps echo printf true test man help column tr basename dirname realpath readlink`.split(
    /\s+/,
  ),
);
const GIT_LOOKS: ReadonlySet<string> = new Set(
  'status log diff show blame grep ls-files rev-parse describe shortlog cat-file'.split(' '),
);
/** What makes a looking program do something. */
const ACTS = /(^|\s)(-delete|-exec|-execdir|-ok|-fprint|--output|-o)(\s|=|$)/;

/** The words of a command of one program, without variables set for it. */
const looks = (part: string): boolean => {
  const words = part.trim().split(/\s+/);
  while (/^[A-Za-z_]\w*=/.test(words[0] ?? '')) words.shift();
  const [first = '', second = ''] = words;
  const program = first.slice(first.lastIndexOf('/') + 1);
  if (program === '') return true;
  if (program === 'git') return GIT_LOOKS.has(second);
  if (program === 'sed') return second === '-n' && !/(^|\s)-i/.test(part);
  return LOOKERS.has(program) && !ACTS.test(part);
};

/** `bash -lc "ls"` is `ls`. */
const unwrapped = (command: string): string => {
  const inner = /^\s*(?:\S*\/)?(?:ba|z|da)?sh\s+-\w*c\s+(['"]?)([\s\S]*)\1\s*$/.exec(command);
  return inner?.[2] ?? command;
};

const looksOnly = (command: string): boolean => {
  const text = unwrapped(command)
    // Errors that are thrown away or joined are no file that is written.
    .replaceAll(/\d?>\s*(&\d|\/dev\/null)/g, ' ');
  if (/[>`]|\$\(|<\(/.test(text)) return false;
  return text.split(/\|\||&&|[|;&\n]/).every(looks);
};

const commandIn = (input: unknown): string | undefined => {
  if (typeof input !== 'object' || input === null) return undefined;
  const { command, cmd } = input as { readonly command?: unknown; readonly cmd?: unknown };
  const said = command ?? cmd;
  if (typeof said === 'string') return said;
  if (!Array.isArray(said)) return undefined;
  const words = said.map(String);
  const isShell = /(^|\/)(ba|z|da)?sh$/.test(words[0] ?? '') && /^-\w*c$/.test(words[1] ?? '');
  return isShell ? (words[2] ?? '') : words.join(' ');
};

/** `mcp__server__tool` and `server.tool` are the tool. */
const bareName = (name: string): string => name.split(/__|\./).at(-1) ?? '';

/** Whether a call only gathers context. */
export const isGathering = (name: string, input: unknown): boolean => {
  const bare = bareName(name);
  const lower = bare.toLowerCase();
  if (SHELLS.has(lower)) {
    const command = commandIn(input);
    return command !== undefined && looksOnly(command);
  }
  const [first = ''] = bare
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z]+/);
  return LOOKING.has(lower) || LOOKING.has(first);
};

/** How many calls, and how many of them only gathered context. */
export interface CallCounts {
  readonly gatheringCalls: number;
  readonly totalToolCalls: number;
}

/** Ids of calls that are told apart; of a turn with more, later repeats count again. */
const MOST_IDS = 10_000;

/** Counts the calls of a turn, each once by its id: two calls that look alike are two. */
export class CallCounter {
  readonly #seen = new Set<string>();
  #gathering = 0;
  #total = 0;

  get counts(): CallCounts {
    return { gatheringCalls: this.#gathering, totalToolCalls: this.#total };
  }

  note({
    callId,
    name,
    input,
  }: {
    readonly callId: string;
    readonly name: string;
    readonly input: unknown;
  }): void {
    if (this.#seen.has(callId)) return;
    if (this.#seen.size < MOST_IDS) this.#seen.add(callId);
    this.#total += 1;
    if (isGathering(name, input)) this.#gathering += 1;
  }
}

/** Of what failed calls said, in characters: as much as a summary holds. */
const MOST_ERRORS = 2000;

/** What the failed calls of a turn said, in order. */
export class ToolErrors {
  #text = '';
  #last = '';

  /** Two that say the same are told once when they follow each other. */
  note(output: string): void {
    const said = output.trim();
    if (said === '' || this.#text.length >= MOST_ERRORS || said === this.#last) return;
    this.#last = said;
    this.#text = (this.#text === '' ? said : `${this.#text}\n\n${said}`).slice(0, MOST_ERRORS);
  }

  /** A blank line between two; empty when none failed. */
  get text(): string {
    return this.#text;
  }
}

/** The share of calls that only gathered context, 0 to 1, three decimals; null without calls. */
export const contextRatio = ({ gatheringCalls, totalToolCalls }: CallCounts): number | null =>
  totalToolCalls === 0 ? null : Math.round((gatheringCalls / totalToolCalls) * 1000) / 1000;
