// In what the agents differ that all speak one protocol, as a table, and what follows from it. Pure. Each row was measured on the version
// it names, against a scripted model; what is not in a row is the protocol's own rule.
import {
  CLAUDE_NAMES,
  CLAUDE_SETTINGS,
} from '#services/runner/providers/claude/claude-surroundings.policy.ts';

/** The agents that have a row of their own. */
export const ACP_AGENTS = ['claude', 'codex', 'gemini', 'opencode', 'other'] as const;
type AcpAgent = (typeof ACP_AGENTS)[number];

export interface AcpQuirks {
  readonly agent: AcpAgent;
  /** The version that the row was measured on. */
  readonly measuredOn: string;
  /** How it is told by its own name, or by a part of the path of its program. */
  readonly isCalled: RegExp;
  /** Set in its environment unless the runner's own says otherwise. */
  readonly settings: Readonly<Record<string, string>>;
  /** Passed on from the runner's environment: its own key, where its model is. */
  readonly names: readonly string[];
  /** What the usage in the answer to a prompt is of. `last-request`: of the last request alone, so not of the turn. */
  readonly usage: 'prompt' | 'last-request' | 'quota';
  /** An `end_turn` without usage is how a model that could not be asked looks. */
  readonly isFailedWithoutUsage: boolean;
  /**
   * What it does when a tool call is turned down. `goes-on`; `cancels`: ends with `cancelled`, which nobody asked for;
   * `falls-silent`: ends with `end_turn` and no further word.
   */
  readonly afterReject: 'goes-on' | 'cancels' | 'falls-silent';
  /** After `session/load` the old conversation is told again behind the answer, until it has been quiet for this long; 0: not so. */
  readonly replayQuietMs: number;
  /** `session/load` in the wall-clock minute in which the conversation was begun erases it. */
  readonly isSpoiltByEarlyLoad: boolean;
  /** How long it gets to go by itself when its input is closed, before SIGTERM. */
  readonly goesWithinMs: number;
}

const OTHER: AcpQuirks = {
  agent: 'other',
  measuredOn: '',
  isCalled: /(?!)/,
  settings: {},
  names: [],
  usage: 'prompt',
  isFailedWithoutUsage: false,
  afterReject: 'goes-on',
  replayQuietMs: 0,
  isSpoiltByEarlyLoad: false,
  goesWithinMs: 500,
};

const ROWS: readonly AcpQuirks[] = [
  {
    ...OTHER,
    agent: 'claude',
    measuredOn: '0.100.0',
    isCalled: /claude-(?:agent|code)-acp/,
    settings: CLAUDE_SETTINGS,
    names: CLAUDE_NAMES,
  },
  {
    ...OTHER,
    agent: 'codex',
    measuredOn: '2.6.0',
    isCalled: /codex-acp/,
    // In its own default mode it asks a reviewing model instead of us.
    settings: { INITIAL_AGENT_MODE: 'workspace-write', NO_BROWSER: '1' },
    names: ['OPENAI_API_KEY', 'OPENAI_BASE_URL', 'CODEX_API_KEY', 'CODEX_HOME', 'INITIAL_AGENT_MODE'],
    isFailedWithoutUsage: true,
    afterReject: 'cancels',
  },
  {
    ...OTHER,
    agent: 'gemini',
    measuredOn: '0.61.0',
    isCalled: /gemini/,
    settings: {
      // Otherwise it starts itself once more, and whoever ends the first process leaves the second behind.
      GEMINI_CLI_NO_RELAUNCH: 'true',
      // Otherwise it offers its model no tools of MCP servers.
      GEMINI_CLI_TRUST_WORKSPACE: 'true',
      NO_UPDATE_NOTIFIER: '1',
    },
    names: ['GEMINI_API_KEY', 'GOOGLE_API_KEY', 'GOOGLE_GEMINI_BASE_URL', 'GEMINI_MODEL'],
    usage: 'quota',
    replayQuietMs: 500,
    isSpoiltByEarlyLoad: true,
  },
  {
    ...OTHER,
    agent: 'opencode',
    measuredOn: '1.18.33',
    isCalled: /opencode/,
    settings: { OPENCODE_DISABLE_AUTOUPDATE: '1' },
    names: ['ANTHROPIC_API_KEY', 'OPENAI_API_KEY', 'OPENCODE_CONFIG'],
    usage: 'last-request',
    afterReject: 'falls-silent',
  },
];

/** By what an agent calls itself; undefined: it has no row. */
const named = (name: string): AcpQuirks | undefined => {
  const lower = name.toLowerCase();
  return ROWS.find(({ isCalled }) => isCalled.test(lower));
};

/** The row of this agent. */
const quirksOf = (agent: AcpAgent): AcpQuirks => ROWS.find((row) => row.agent === agent) ?? OTHER;

/** The row by the last two names in the path of the program or of one of its arguments, before it has said what it is. */
const quirksOfProgram = (program: readonly string[]): AcpQuirks => {
  for (const part of program) {
    const folders = part.split('/').filter((folder) => !['dist', 'bin', 'bundle'].includes(folder));
    const known = named(folders.slice(-2).join('/'));
    if (known !== undefined) return known;
  }
  return OTHER;
};

/** What the settings say about the kind of agent; `auto`: it is told by its program and its own word. */
export type AgentSetting = AcpAgent | 'auto';

/** The row to start the program with. */
export const quirksBefore = (setting: AgentSetting, program: readonly string[]): AcpQuirks =>
  setting === 'auto' ? quirksOfProgram(program) : quirksOf(setting);

/** The row once the program has said what it is; `before`: what was taken for granted until then. */
export const quirksAfter = (setting: AgentSetting, said: string | undefined, before: AcpQuirks): AcpQuirks =>
  setting !== 'auto' || said === undefined ? before : (named(said) ?? OTHER);

const MINUTE_MS = 60_000;
const minuteOf = (atMs: number): number => Math.floor(atMs / MINUTE_MS);

/**
 * How long a `session/load` has to wait so that it does not erase what it loads, in ms. `latestBeginMs`: when the conversation was begun
 * (epoch ms), at the latest where that is not known.
 */
export const waitBeforeLoadMs = (
  { isSpoiltByEarlyLoad }: AcpQuirks,
  latestBeginMs: number,
  nowMs: number,
): number => {
  if (!isSpoiltByEarlyLoad || minuteOf(latestBeginMs) < minuteOf(nowMs)) return 0;
  return (minuteOf(latestBeginMs) + 1) * MINUTE_MS - nowMs;
};
