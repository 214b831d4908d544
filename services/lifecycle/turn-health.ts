// Looks at the turns that an agent has in hand: what their program was heard of last, what it asks, what it calls again and again, and
// whether their claim lives. From reports (EVENTS) and leases, read from the leader; what a person is asked comes from bucket `approvals`.
import { createHash } from 'node:crypto';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { approvalsViewSchema, leaseKey, viewKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import type { PolicyConfig } from '#streams/policy-config.ts';
import type { PolicyEvidence } from '#streams/policy-commands.ts';
import { decodeReport } from '#streams/report-codec.ts';
import type { ReportName } from '#streams/reports.ts';
import { typedSubject, type Boundary } from '#streams/subjects.ts';
import { silentAtOf, stuckTurn, type OpenTurn, type SameCalls } from './turn-health.policy.ts';

interface Parts {
  /** The log of EVENTS. */
  readonly events: EventLog;
  readonly leases: KeyValue;
  readonly approvals: KeyValue;
}

type Place = Boundary & { readonly agent: string };

interface Looked {
  readonly startedAt: number;
  readonly now: number;
  /** Turns that the runner says it has in hand; undefined: it does not say. */
  readonly active: number | undefined;
  readonly health: PolicyConfig['health'];
}

export interface TurnHealth {
  /** Of the turns of one start. Faults: those of log and buckets. */
  look(place: Place, looked: Looked): Promise<Pick<PolicyEvidence, 'stuck' | 'silentAt'>>;
}

/** What comes from the program. What its runner reports by itself (a command that arrived, mail) is no sign that the turn goes on. */
const SIGNS_OF_LIFE = [
  'turn-started',
  'text',
  'reasoning',
  'tool-started',
  'tool-finished',
  'file-changed',
  'usage',
  'plan',
  'session-bound',
  'session-forked',
  'turn-signalled',
  'output',
  'unknown-line',
] as const satisfies readonly ReportName[];

/** The hard limit of a turn: what began earlier is over. */
const LONGEST_TURN_MS = 86_400_000;
/** Turns whose calls are kept in mind; a forgotten one is counted anew. */
const MOST_COUNTED = 5000;

interface Begun {
  readonly runId: string;
  readonly turnId: string;
  readonly seq: number;
  readonly at: number;
}

interface Counted {
  readonly seq: number;
  readonly digest: string;
  readonly calls: SameCalls | null;
}

const digestOf = (name: string, input: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify([name, input]) ?? '')
    .digest('base64');

/** Turns that began and are not over, by the reports since a time. */
const openTurns = async (events: EventLog, place: Place, sinceMs: number): Promise<Begun[]> => {
  const subjects = (['turn-started', 'turn-finished'] as const).map((type) =>
    typedSubject(place, 'evt', place.agent, type),
  );
  const open = new Map<string, Begun>();
  for await (const entry of events.replay({ subjects, from: { atMs: sinceMs } })) {
    const reading = decodeReport(entry);
    if (reading.kind !== 'known') continue;
    if (reading.name === 'turn-finished') open.delete(reading.data.turnId);
    if (reading.name !== 'turn-started') continue;
    const { runId, turnId } = reading.data;
    open.set(turnId, { runId, turnId, seq: entry.seq, at: entry.storedAt });
  }
  return [...open.values()];
};

/** The turn that began last, unless it is over: all that a runner with one turn at a time can have. */
const lastTurn = async (events: EventLog, place: Place, sinceMs: number): Promise<Begun[]> => {
  const [started, finished] = await Promise.all(
    (['turn-started', 'turn-finished'] as const).map((type) =>
      events.last(typedSubject(place, 'evt', place.agent, type)),
    ),
  );
  if (started === undefined || started.storedAt < sinceMs || started.seq < (finished?.seq ?? 0)) return [];
  const reading = decodeReport(started);
  if (reading.kind !== 'known' || reading.name !== 'turn-started') return [];
  const { runId, turnId } = reading.data;
  return [{ runId, turnId, seq: started.seq, at: started.storedAt }];
};

/** When the program of a turn was heard of last. With several turns at once the newest report of each kind counts for all of them. */
const heardAt = async (events: EventLog, place: Place, turn: Begun): Promise<number> => {
  const last = await Promise.all(
    SIGNS_OF_LIFE.map((type) => events.last(typedSubject(place, 'evt', place.agent, type))),
  );
  return Math.max(turn.at, ...last.map((entry) => (entry === undefined ? 0 : entry.storedAt)));
};

const asksOf = async (approvals: KeyValue, place: Place, { runId, turnId }: Begun) => {
  const entry = await approvals.get(viewKey(place, runId));
  const view = entry === undefined ? undefined : approvalsViewSchema.safeParse(parseJson(entry.value));
  const open = view?.data?.approvals.find((one) => one.state === 'open' && one.turnId === turnId);
  return open === undefined ? null : { tool: open.tool, askedAt: open.askedAt };
};

export const createTurnHealth = ({ events, leases, approvals }: Parts): TurnHealth => {
  const counted = new Map<string, Counted>();

  /** Goes on from where the last look ended: a long turn is read once. */
  const callsOf = async (place: Place, { turnId, seq }: Begun): Promise<SameCalls | null> => {
    let known = counted.get(turnId) ?? { seq, digest: '', calls: null };
    const subjects = [typedSubject(place, 'evt', place.agent, 'tool-started')];
    for await (const entry of events.replay({ subjects, from: { seq: known.seq + 1 } })) {
      const reading = decodeReport(entry);
      if (reading.kind !== 'known' || reading.name !== 'tool-started') continue;
      if (reading.data.turnId !== turnId) continue;
      const { name: tool, input } = reading.data;
      const digest = digestOf(tool, input);
      const same = digest === known.digest ? known.calls : null;
      const calls =
        same === null ? { tool, count: 1, sinceAt: entry.storedAt } : { ...same, count: same.count + 1 };
      known = { seq: entry.seq, digest, calls };
    }
    counted.delete(turnId);
    counted.set(turnId, known);
    for (const oldest of counted.keys()) {
      if (counted.size <= MOST_COUNTED) break;
      counted.delete(oldest);
    }
    return known.calls;
  };

  const factsOf = async (place: Place, turn: Begun, { health }: Looked): Promise<OpenTurn | undefined> => {
    // A lost claim is not this service's to mend: the run is given back, or ended, by its owner.
    if ((await leases.get(leaseKey(place, turn.runId))) === undefined) return undefined;
    const [lastAt, asks, calls] = await Promise.all([
      heardAt(events, place, turn),
      asksOf(approvals, place, turn),
      health.sameCalls > 0 ? callsOf(place, turn) : null,
    ]);
    const { runId, turnId, at: startedAt } = turn;
    return { runId, turnId, startedAt, lastAt, asks, calls };
  };

  return {
    look: async (place, looked) => {
      const { startedAt, now, active = 1, health } = looked;
      if (health.stuckAfterSeconds === 0 && health.sameCalls === 0) return { stuck: null };
      const sinceMs = Math.max(startedAt, now - LONGEST_TURN_MS);
      const begun = await (active > 1 ? openTurns : lastTurn)(events, place, sinceMs);
      const facts = await Promise.all(begun.map((turn) => factsOf(place, turn, looked)));
      const turns = facts.filter((turn) => turn !== undefined);
      const stuck = turns.map((turn) => stuckTurn(turn, health, now)).find((found) => found !== null) ?? null;
      const silentAt = turns.map((turn) => silentAtOf(turn, health) ?? Number.POSITIVE_INFINITY);
      return { stuck, ...(silentAt.length > 0 && { silentAt: Math.min(...silentAt) }) };
    },
  };
};
