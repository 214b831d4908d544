// One turn of the provider `exec` with a small program given as a text, for tests.
import { rmSync } from 'node:fs';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import { createExecProvider } from '#services/runner/providers/exec/exec-provider.ts';
import type {
  EventSink,
  ProviderEvent,
  ProviderTurn,
  TurnLimits,
} from '#services/runner/providers/provider.ts';
import type { TurnFacts } from '#services/runner/providers/turn-facts.ts';
import { scratchDir } from './broker.ts';

const MARK = 'FLEETLOG_TURN';

export interface ExecRun {
  readonly turn: ProviderTurn;
  readonly events: ProviderEvent[];
  /** `FLEETLOG_TURN=…` of this turn. */
  readonly mark: string;
  readonly workspace: string;
  /** Resolves when an event fits. */
  seen(fits: (event: ProviderEvent) => boolean): Promise<ProviderEvent>;
}

export interface ExecTurnOptions {
  readonly prompt?: string;
  readonly limits?: Partial<TurnLimits>;
  /** Default: a new folder. */
  readonly workspace?: string;
  /** Takes the events instead of their being kept. */
  readonly sink?: EventSink;
}

const LIMITS: TurnLimits = { turnTimeoutMs: 20_000, silenceMs: 0, killAfterMs: 300, lingerMs: 5000 };

/** Starts `program` in a folder of its own. */
export const startExec = (program: readonly string[], options: ExecTurnOptions = {}): ExecRun => {
  const workspace = options.workspace ?? scratchDir('exec');
  const turnId = `trn_${systemIds.ulid()}`;
  const events: ProviderEvent[] = [];
  const waiting: { fits: (event: ProviderEvent) => boolean; resolve: (event: ProviderEvent) => void }[] = [];
  const keep: EventSink = async (event) => {
    events.push(event);
    for (const { fits, resolve } of waiting) if (fits(event)) resolve(event);
  };
  const turn = createExecProvider(systemClock).start(
    {
      workspace,
      prompt: options.prompt ?? 'the prompt',
      program,
      environment: { PATH: readEnvironment()['PATH'] ?? '', [MARK]: turnId },
      mark: MARK,
      limits: { ...LIMITS, ...options.limits },
    },
    options.sink ?? keep,
  );
  return {
    turn,
    events,
    mark: `${MARK}=${turnId}`,
    workspace,
    seen: (fits) =>
      new Promise((resolve) => {
        const found = events.find((event) => fits(event));
        if (found === undefined) waiting.push({ fits, resolve });
        else resolve(found);
      }),
  };
};

/** As {@link startExec} for a program of this text run by Node. `say(object)` prints a line. */
export const startNode = (source: string, options: ExecTurnOptions = {}): ExecRun =>
  startExec(
    [process.execPath, '-e', `const say = (line) => console.log(JSON.stringify(line));\n${source}`],
    options,
  );

/** Runs a Node program to its end. */
export const runNode = async (
  source: string,
  options: ExecTurnOptions = {},
): Promise<{ readonly facts: TurnFacts; readonly events: readonly ProviderEvent[] }> => {
  const { turn, events, workspace } = startNode(source, options);
  const facts = await turn.ended;
  rmSync(workspace, { recursive: true });
  return { facts, events };
};

/** A line `text`. */
export const isText =
  (text: string) =>
  (event: ProviderEvent): boolean =>
    event.kind === 'text' && event.text.includes(text);
