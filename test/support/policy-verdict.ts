// Holds the record of policies, and what really ran, against the laws of managed agents. Knows none of the rules by which the record was
// made: what counts as a crash and what is allowed when is said here once more, in the simplest words.
import { decodeInstruction } from '#streams/instruction-codec.ts';
import type { PolicyConfig } from '#streams/policy-config.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import type { Ports } from '#libs/service/context.ts';
import type { Life } from './scripted-host.ts';

/** A time in which nobody could have seen to a deadline; the wall clock may have jumped by so much then. */
export interface Trouble {
  readonly from: number;
  to: number;
  readonly jumpMs?: number;
}

/** After a deadline: what an instance that died had in hand is handed over anew after half a minute. */
const LATE_MS = 45_000;

/** How much later than usual something may happen that was due in this time. */
const allowedMs = (troubles: readonly Trouble[], from: number, to: number): number =>
  troubles
    .filter((trouble) => trouble.from <= to && trouble.to >= from)
    .reduce((sum, trouble) => sum + (trouble.to - trouble.from) + Math.abs(trouble.jumpMs ?? 0), LATE_MS);

type Live = Extract<
  PolicyEvent,
  { readonly type: `fleetlog.policy.${'starting' | 'stopping' | 'stop-escalated'}.v1` }
>;

const hasDeadline = (event: PolicyEvent): event is Live => 'deadlineAt' in event;
/** What is said of a start without moving it. */
const MOVES_NOTHING =
  /\.(applied|removed|start-asked|stop-asked|restart-asked|paused|resumed|reset|stray-found)\.v1$/;

/** Every deadline led to something: a start registers, fails or is stopped; a stop is over or goes a step further. */
const overdue = (history: readonly PolicyEvent[], troubles: readonly Trouble[], now: number): string[] =>
  history.flatMap((event, at) => {
    if (!hasDeadline(event)) return [];
    const next = history.slice(at + 1).find(({ type }) => !MOVES_NOTHING.test(type));
    const leftAt = next?.decidedAt ?? now;
    const lateMs = leftAt - event.deadlineAt;
    return lateMs > allowedMs(troubles, event.decidedAt, leftAt)
      ? [`${event.type} was left ${lateMs} ms after its deadline`]
      : [];
  });

const STARTS = 'fleetlog.policy.starting.v1';
const OVER = /\.(stopped|backoff|failed)\.v1$/;

/** One start at a time on record, and none before its wait is over unless a person has said so. */
const illegal = (history: readonly PolicyEvent[]): string[] => {
  const faults: string[] = [];
  let [live, until, isBroken] = [false, 0, false];
  for (const event of history) {
    if (event.type === STARTS) {
      if (live) faults.push(`${event.spawnId} was begun before the start before it was over`);
      if (isBroken) faults.push(`${event.spawnId} was begun although the breaker was open`);
      if (event.decidedAt < until) faults.push(`${event.spawnId} was begun before its wait was over`);
      live = true;
    } else if (OVER.test(event.type)) live = false;
    if (event.type === 'fleetlog.policy.backoff.v1') until = event.until;
    if (event.type === 'fleetlog.policy.failed.v1') isBroken = true;
    // Only a person leads out of both; what a person has stopped meanwhile has no wait.
    if (event.type === 'fleetlog.policy.reset.v1') [until, isBroken] = [0, false];
    if (/\.(stopped|waiting-for-host)\.v1$/.test(event.type)) {
      if (event.type !== 'fleetlog.policy.stopped.v1' && event.decidedAt < until)
        faults.push('a host was looked for before the wait was over');
      until = 0;
    }
  }
  return faults;
};

const FAILS = /\.(backoff|failed)\.v1$/;
type Failure = Extract<
  PolicyEvent,
  { readonly failures: number; readonly cause: string; readonly code: string }
>;
const isFailure = (event: PolicyEvent): event is Failure => FAILS.test(event.type);
/** The agent's own: a host that has no room is none. */
const isCrash = ({ cause, code }: Failure): boolean =>
  cause !== 'refused' || !/^HOST_|^COMMAND_EXPIRED$|^AGENT_RUNNING$/.test(code);

/** The breaker opens with the crash that is one too many, not before and not after. */
const misjudged = (history: readonly PolicyEvent[]): string[] => {
  const faults: string[] = [];
  let config: PolicyConfig | undefined;
  let crashes: number[] = [];
  for (const event of history) {
    if (event.type === 'fleetlog.policy.applied.v1') config = event.config;
    if (/\.(reset|healthy)\.v1$/.test(event.type)) crashes = [];
    if (!isFailure(event) || config === undefined || !isCrash(event)) continue;
    const { restarts, windowSeconds } = config.limits;
    crashes = [...crashes.filter((at) => at > event.decidedAt - windowSeconds * 1000), event.decidedAt];
    const isTooOften = restarts > 0 && crashes.length > restarts;
    if (isTooOften !== (event.type === 'fleetlog.policy.failed.v1'))
      faults.push(`${crashes.length} crashes in ${windowSeconds} s of at most ${restarts}: ${event.type}`);
  }
  return faults;
};

/** What the record of one policy breaks. `now`: the wall clock at the end. */
export const judgeHistory = (
  history: readonly PolicyEvent[],
  { troubles, now }: { readonly troubles: readonly Trouble[]; readonly now: number },
): readonly string[] => [...overdue(history, troubles, now), ...illegal(history), ...misjudged(history)];

/** Where each start, and each order to end one, stands in COMMANDS. */
export interface Orders {
  readonly starts: ReadonlyMap<string, number>;
  readonly stops: ReadonlyMap<string, number>;
  /** Starts that were ordered more than once. */
  readonly twice: readonly string[];
}

export const ordersOf = async (ports: Ports): Promise<Orders> => {
  const starts = new Map<string, number>();
  const stops = new Map<string, number>();
  const twice: string[] = [];
  for await (const entry of ports.log('COMMANDS').replay()) {
    const reading = decodeInstruction(entry);
    if (reading.kind !== 'known') continue;
    if (reading.name === 'agent-spawn') {
      if (starts.has(reading.data.spawnId)) twice.push(reading.data.spawnId);
      starts.set(reading.data.spawnId, entry.seq);
    }
    if (reading.name === 'agent-shutdown' && !stops.has(reading.data.spawnId))
      stops.set(reading.data.spawnId, entry.seq);
  }
  return { starts, stops, twice };
};

/** Starts that ran at once although the order to end the first had not gone out before the second: more cannot be known of a host that says nothing. */
const together = (lives: readonly Life[], { starts, stops }: Orders): string[] =>
  lives.flatMap((later, at) =>
    lives.slice(0, at).flatMap((earlier) => {
      if ((earlier.diedMs ?? Infinity) <= later.bornMs) return [];
      const [first = '', second = ''] = [earlier.spawnId, later.spawnId].toSorted(
        (one, other) => (starts.get(one) ?? 0) - (starts.get(other) ?? 0),
      );
      const isTold = (stops.get(first) ?? Infinity) <= (starts.get(second) ?? 0);
      return isTold ? [] : [`${first} and ${second} ran at once`];
    }),
  );

/** What really ran, against what was ordered. `lives` are those of one policy, by birth. */
export const judgeLives = (lives: readonly Life[], orders: Orders): readonly string[] => {
  const twice = new Set(lives.map(({ spawnId }) => spawnId)).size !== lives.length;
  return [
    ...(twice ? ['a start was done twice'] : []),
    ...together(lives, orders),
    ...lives.flatMap(({ spawnId }) => (orders.starts.has(spawnId) ? [] : [`${spawnId} was never ordered`])),
  ];
};
