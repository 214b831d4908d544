// The provider `acp`: any agent that speaks the Agent Client Protocol, as a process that is kept between the turns of a session (README.md).
// What it may do without being asked is the agent's own setting; what is answered when it asks is `acpPermissions` or an approval.
import type { Clock } from '#libs/ports/clock.ts';
import {
  PROCESS_MARK,
  RUN_VARIABLES,
  type Environment,
} from '#services/runner/providers/child-environment.ts';
import type { Provider, TurnOrder } from '#services/runner/providers/provider.ts';
import { AcpPool, type PoolSettings } from './acp-pool.ts';
import { quirksBefore, type AgentSetting } from './acp-quirks.policy.ts';
import { AcpTurn, type TurnSettings } from './acp-turn.ts';

/** The order of a turn as its process needs it: under a mark of its own, without what is of the turn alone. */
const lasting = (order: TurnOrder): TurnOrder => {
  const { environment, mark } = order;
  const kept = Object.entries(environment).filter(([name]) => !RUN_VARIABLES.has(name) && name !== mark);
  return {
    ...order,
    mark: PROCESS_MARK,
    environment: { ...Object.fromEntries(kept), [PROCESS_MARK]: environment[mark] ?? '' },
  };
};

/** What the environment of an agent of this kind has besides the usual: variables passed on, and settings that the runner's own outweigh. */
export const acpEnvironment = (
  agent: AgentSetting,
  program: readonly string[],
  own: Environment,
): { readonly names: readonly string[]; readonly settings: Readonly<Record<string, string>> } => {
  const { names, settings } = quirksBefore(agent, program);
  const unset = Object.entries(settings).filter(([name]) => own[name] === undefined);
  return { names: [...names, ...Object.keys(settings)], settings: Object.fromEntries(unset) };
};

/** The provider `acp` on this clock. Its processes end with {@link Provider.close}. */
export const createAcpProvider = (
  clock: Clock,
  settings: PoolSettings & TurnSettings,
): Provider & Required<Pick<Provider, 'close'>> => {
  const pool = new AcpPool(clock, settings);
  return {
    name: 'acp',
    start: (order, sink) => new AcpTurn({ order: lasting(order), sink, clock, pool, settings }),
    close: () => pool.close(),
  };
};
