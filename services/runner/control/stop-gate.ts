// The stop gate of the turns of a runner: asks the policy, counts how often an agent has been sent on, and reports what was decided.
// Reads what this machine knows only, so that the end of a turn never waits for anything.
import type { ProviderName } from '#streams/run.ts';
import type { ControlParts } from './control-parts.ts';
import type { LiveTurn } from './control-turns.ts';
import { debtsOf, seenOf, stopGate, type OwedLine } from './stop-gate.policy.ts';
import type { TurnMirror } from './turn-mirror.ts';

/** Obligations named in one report (streams/turn-side-reports.ts). */
const MOST_REPORTED = 50;

export interface StopGateParts {
  readonly parts: Pick<ControlParts, 'obligations' | 'mail'>;
  readonly mirror: TurnMirror;
  /** How often an agent may be sent on in one turn; 0: never. */
  readonly limit: number;
  /** Whether agents driven by this kind of program have the tools of `fleetlog mcp`. */
  readonly hasTools: (provider: ProviderName) => boolean;
}

export interface StopGate {
  /** The agent wants to end its turn: why it should go on, or null. Changes nothing but the count. */
  ask(live: LiveTurn): string | null;
  /** The turn is over: what is still owed is put on record. */
  letGo(live: LiveTurn): void;
}

const shown = (owed: readonly OwedLine[]) =>
  owed.slice(0, MOST_REPORTED).map(({ messageId, from, subject }) => ({ messageId, from, subject }));

export const createStopGate = ({ parts, mirror, limit, hasTools }: StopGateParts): StopGate => {
  const debts = (turnId: string): ReturnType<typeof debtsOf> =>
    debtsOf({
      snapshot: parts.obligations?.current() ?? { ready: false, refreshedAt: 0, owed: [] },
      brought: parts.mail?.owedIn(turnId) ?? [],
    });
  return {
    ask: (live) => {
      const { turn, blocks } = live;
      const { ready, owed } = debts(turn.turnId);
      const { provider } = turn;
      const decision = stopGate({ provider, ready, owed, blocks, limit, hasTools: hasTools(provider) });
      if (decision.kind === 'let-go') return null;
      live.blocks += 1;
      const payload = { decision: 'blocked', blocks: live.blocks, owed: shown(decision.owed) } as const;
      void mirror.report(turn, 'stop-gate', payload, `gate-${live.blocks}`);
      return decision.reason;
    },
    letGo: ({ turn, blocks }) => {
      const { ready, owed } = debts(turn.turnId);
      const seen = ready ? seenOf(owed) : [];
      if (seen.length === 0) return;
      void mirror.report(turn, 'stop-gate', { decision: 'let-go', blocks, owed: shown(seen) }, 'gate-end');
    },
  };
};
