// Turns of the provider `acp` with the scripted agent, for tests: one provider a rig, turns of any session after one another.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#libs/ports/clock.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import { createAcpProvider } from '#services/runner/providers/acp/acp-provider.ts';
import { findMarked } from '#libs/processes/marked-processes.ts';
import type {
  EventSink,
  ProviderEvent,
  ProviderTurn,
  TurnLimits,
  TurnOrder,
} from '#services/runner/providers/provider.ts';
import type { TurnFacts } from '#services/runner/providers/turn-facts.ts';
import { turnOutcome } from '#services/runner/providers/turn-outcome.policy.ts';
import { onTestFinished } from 'vitest';
import { scratchDir } from './broker.ts';

/** What kind of agent the scripted one is. */
interface Persona {
  readonly name?: string | null;
  readonly version?: string;
  readonly protocolVersion?: number;
  readonly canResume?: boolean;
  readonly canLoad?: boolean;
  readonly afterReject?: 'goes-on' | 'cancels' | 'falls-silent';
  readonly usage?: object | null;
  /** Knows no conversation but its own. */
  readonly forgets?: boolean;
  /** Tells a loaded conversation again behind the answer. */
  readonly replaysLate?: boolean;
  readonly needsLogin?: boolean;
  /** Never answers this method. */
  readonly deafTo?: string;
  /** Its first line, before it is asked anything. */
  readonly greetsWith?: string;
  readonly ignoresTerm?: boolean;
  readonly staysAtEof?: boolean;
}

const SCRIPTED_AGENT = join(import.meta.dirname, 'scripted-acp-agent.mjs');

/** The command of the scripted agent. */
export const acpAgent = (persona: Persona = {}): readonly string[] => [
  process.execPath,
  SCRIPTED_AGENT,
  JSON.stringify(persona),
];

type Settings = Parameters<typeof createAcpProvider>[1];

const SETTINGS: Settings = {
  agent: 'auto',
  keep: 4,
  idleMs: 60_000,
  permissions: 'allow',
  mode: undefined,
  steering: 'cancel',
};
const LIMITS: TurnLimits = { turnTimeoutMs: 30_000, silenceMs: 0, killAfterMs: 600, lingerMs: 5000 };

export interface AcpRigOptions {
  readonly persona?: Persona;
  readonly settings?: Partial<Settings>;
  readonly limits?: Partial<TurnLimits>;
  readonly clock?: Clock;
}

interface AcpRun {
  readonly turn: ProviderTurn;
  readonly events: readonly ProviderEvent[];
  /** Resolves when an event fits. */
  readonly seen: (fits: (event: ProviderEvent) => boolean) => Promise<ProviderEvent>;
}

interface RunOptions extends Partial<
  Pick<TurnOrder, 'resume' | 'askApproval' | 'toolServers' | 'program' | 'stopReason'>
> {
  readonly session?: string;
  readonly sink?: EventSink;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface AcpRig {
  readonly workspace: string;
  readonly close: () => Promise<void>;
  /** Starts a turn; the prompt is a script. */
  start(script: unknown, options?: RunOptions): AcpRun;
  /** Does a turn to its end. */
  run(script: unknown, options?: RunOptions): Promise<AcpEnd>;
  /** What the agents wrote down, without the numbers of their processes. */
  log(): readonly string[];
  /** Living processes of this rig. */
  alive(): Promise<readonly number[]>;
}

interface AcpEnd {
  readonly facts: TurnFacts;
  readonly events: readonly ProviderEvent[];
  readonly result: ReturnType<typeof turnOutcome>;
}

const RUNNER = 'FLEETLOG_RUNNER';

/** A rig whose provider is closed when the test is over. */
export const acpRig = (options: AcpRigOptions = {}): AcpRig => {
  const { clock = systemClock, persona = {} } = options;
  const workspace = scratchDir('acp');
  const runner = `rig-${systemIds.ulid()}`;
  const provider = createAcpProvider(clock, { ...SETTINGS, ...options.settings });
  onTestFinished(() => provider.close());
  const order = (script: unknown, { session = 'ses-1', environment, ...more }: RunOptions): TurnOrder => ({
    workspace,
    prompt: typeof script === 'string' ? script : JSON.stringify(script),
    program: more.program ?? acpAgent(persona),
    environment: {
      PATH: readEnvironment()['PATH'] ?? '',
      FLEETLOG_TURN: `trn-${systemIds.ulid()}`,
      FLEETLOG_SESSION: session,
      [RUNNER]: runner,
      ...environment,
    },
    mark: 'FLEETLOG_TURN',
    limits: { ...LIMITS, ...options.limits },
    ...(more.resume !== undefined && { resume: more.resume }),
    ...(more.stopReason !== undefined && { stopReason: more.stopReason }),
    ...(more.askApproval !== undefined && { askApproval: more.askApproval }),
    ...(more.toolServers !== undefined && { toolServers: more.toolServers }),
  });
  const start = (script: unknown, given: RunOptions = {}): AcpRun => {
    const events: ProviderEvent[] = [];
    const waiting: { fits: (event: ProviderEvent) => boolean; resolve: (event: ProviderEvent) => void }[] =
      [];
    const keep: EventSink = async (event) => {
      events.push(event);
      for (const { fits, resolve } of waiting) if (fits(event)) resolve(event);
    };
    return {
      turn: provider.start(order(script, given), given.sink ?? keep),
      events,
      seen: (fits) =>
        new Promise((resolve) => {
          const found = events.find((event) => fits(event));
          if (found === undefined) waiting.push({ fits, resolve });
          else resolve(found);
        }),
    };
  };
  return {
    workspace,
    close: () => provider.close(),
    start,
    run: async (script, given) => {
      const { turn, events } = start(script, given);
      const facts = await turn.ended;
      return { facts, events, result: turnOutcome(facts, 1) };
    },
    log: () => {
      const file = join(workspace, 'agent.log');
      if (!existsSync(file)) return [];
      return readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.slice(line.indexOf(' ') + 1));
    },
    alive: () => findMarked(`${RUNNER}=${runner}`),
  };
};

/** The kinds of events, texts with their words. */
export const told = (events: readonly ProviderEvent[]): readonly string[] =>
  events.map((event) =>
    'text' in event && event.kind !== 'output' ? `${event.kind} ${event.text}` : event.kind,
  );
