// What is the case besides a policy's record, looked up for one decision, and only what matters in its state. What a start depends on is
// read from the leader; hosts come from memory, because a host refuses what it cannot take.
import type { EventLog } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { lastCronAt } from '#libs/cron/cron.ts';
import { presenceKey, presenceSchema } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { decodeReport } from '#streams/report-codec.ts';
import { policyMailbox, typedSubject, type Boundary } from '#streams/subjects.ts';
import type { PolicyEvidence, SeenRunner } from '#streams/policy-commands.ts';
import type { HostBoard } from './host-board.ts';
import { createHostWords } from './host-words.ts';
import { isForbidden, type Policy, type Spawn } from './policy-state.policy.ts';
import { wantedBy } from './policy-rest.policy.ts';
import type { TurnHealth } from './turn-health.ts';
import { usageOf, type UsedTurn } from './usage.policy.ts';

interface Parts {
  readonly presence: KeyValue;
  /** The log of EVENTS. */
  readonly events: EventLog;
  /** The log of MESSAGES. */
  readonly messages: EventLog;
  readonly hosts: HostBoard;
  readonly turns: TurnHealth;
}

type Place = Boundary & { readonly agent: string };

export interface Evidence {
  look(boundary: Boundary, policy: Policy, now: number): Promise<PolicyEvidence>;
}

/** A runner, and what it said of its work when it spoke last. */
interface SpokenRunner extends SeenRunner {
  readonly active: number | undefined;
  /** When the broker took that word, epoch ms. */
  readonly saidAt: number;
}

/** The runner alive under an agent's name. */
const runnerOf = async (presence: KeyValue, place: Place): Promise<SpokenRunner | null> => {
  const entry = await presence.get(presenceKey(place, place.agent));
  if (entry === undefined) return null;
  const parsed = presenceSchema.safeParse(parseJson(entry.value));
  if (!parsed.success) return null;
  const { spawnId = null, host = null, runnerId, version, active } = parsed.data;
  return { spawnId, host, runnerId, version, active, saidAt: entry.writtenAt };
};

const turnOf = async (events: EventLog, place: Place, type: 'turn-started' | 'turn-finished') => {
  const entry = await events.last(typedSubject(place, 'evt', place.agent, type));
  if (entry === undefined) return undefined;
  const reading = decodeReport(entry);
  const turnId = reading.kind === 'known' && 'turnId' in reading.data ? reading.data.turnId : null;
  return { seq: entry.seq, at: entry.storedAt, turnId };
};

/** WK-70: the last sign of work, by the last reports and the last message of the agent. */
const activityOf = async (
  { events, messages }: Parts,
  place: Place,
  { startedAt }: Spawn,
  spoken: SpokenRunner | null,
): Promise<NonNullable<PolicyEvidence['activity']>> => {
  const [started, finished, message] = await Promise.all([
    turnOf(events, place, 'turn-started'),
    turnOf(events, place, 'turn-finished'),
    messages.last(typedSubject(place, 'msg', place.agent, 'sent')),
  ]);
  // A turn of an earlier process may never have said that it ended.
  const isOpen = started !== undefined && started.at >= startedAt && started.seq > (finished?.seq ?? 0);
  const lastAt = Math.max(started?.at ?? 0, finished?.at ?? 0, message?.storedAt ?? 0);
  // It speaks now and then: what has begun or ended since is not in its word.
  const since = (turn: { readonly at: number } | undefined): number =>
    turn !== undefined && spoken !== null && turn.at > spoken.saidAt ? 1 : 0;
  const active = spoken?.active === undefined ? 0 : spoken.active + since(started) - since(finished);
  return { isBusy: isOpen || active > 0, lastAt };
};

/** The turns that an agent finished since a time, oldest first. */
async function* turnsSince(events: EventLog, place: Place, sinceMs: number): AsyncGenerator<UsedTurn> {
  const subjects = [typedSubject(place, 'evt', place.agent, 'turn-finished')];
  for await (const entry of events.replay({ subjects, from: { atMs: sinceMs } })) {
    const reading = decodeReport(entry);
    if (reading.kind !== 'known' || reading.name !== 'turn-finished') continue;
    yield { at: entry.storedAt, costMicroUsd: reading.data.result.usage?.costMicroUsd ?? 0 };
  }
}

const usage = async ({ events }: Parts, place: Place, { config }: Policy, now: number) => {
  const { limits } = config;
  if (limits.runs === 0 && limits.spendMicroUsd === 0) return {};
  const windowMs = limits.windowSeconds * 1000;
  const turns: UsedTurn[] = [];
  for await (const turn of turnsSince(events, place, now - windowMs)) turns.push(turn);
  return { usage: usageOf(turns, { ...limits, windowMs }) };
};

/** True when being idle leads to anything. */
const caresForIdle = ({ config, restart, stuck }: Policy): boolean => {
  const { mode, keepAliveSeconds, dailyRestart, limits, health } = config;
  return (
    (mode !== 'always-on' && keepAliveSeconds > 0) ||
    dailyRestart ||
    restart !== null ||
    stuck !== null ||
    limits.runs > 0 ||
    limits.spendMicroUsd > 0 ||
    health.stuckAfterSeconds > 0 ||
    health.sameCalls > 0
  );
};

export const createEvidence = (parts: Parts): Evidence => {
  const { presence, messages, hosts } = parts;
  const hostWords = createHostWords({ presence, hosts });

  const mailSeq = async (
    boundary: Boundary,
    { policy, config }: Policy,
  ): Promise<Pick<PolicyEvidence, 'mailSeq'>> =>
    config.mode === 'on-demand'
      ? {
          mailSeq:
            (await messages.last(typedSubject(boundary, 'msg', policyMailbox(policy), 'sent')))?.seq ?? 0,
        }
      : {};

  const atRest = async (boundary: Boundary, policy: Policy, now: number): Promise<PolicyEvidence> => {
    const { config, state, dueAt, lastScheduledFor } = policy;
    const runner = await runnerOf(presence, { ...boundary, agent: config.agent });
    if (isForbidden(policy) || (state === 'backoff' && now < (dueAt ?? 0))) return { runner };
    const { schedule } = config;
    const since =
      schedule === undefined ? 0 : Math.max(lastScheduledFor, now - schedule.graceSeconds * 1000 - 1);
    const scheduledFor =
      config.mode === 'scheduled' && schedule !== undefined ? lastCronAt(schedule, since, now) : null;
    const seen: PolicyEvidence = { runner, scheduledFor, ...(await mailSeq(boundary, policy)) };
    if (wantedBy(policy, { evidence: seen }) === undefined) return seen;
    return { ...seen, hosts: await hostWords.choose(boundary, config) };
  };

  const running = async (
    boundary: Boundary,
    policy: Policy,
    spawn: Spawn,
    now: number,
  ): Promise<PolicyEvidence> => {
    const place = { ...boundary, agent: spawn.agent };
    const runner = await runnerOf(presence, place);
    if (!caresForIdle(policy)) return { runner };
    // The mailbox first: mail that comes after this look is not settled by it.
    const mail = await mailSeq(boundary, policy);
    const activity = await activityOf(parts, place, spawn, runner);
    const { startedAt } = spawn;
    const looked = { startedAt, now, active: runner?.active, health: policy.config.health };
    const health = await parts.turns.look(place, looked);
    return { runner, ...mail, activity, ...health, ...(await usage(parts, place, policy, now)) };
  };

  return {
    look: async (boundary, policy, now) => {
      const { state, spawn } = policy;
      if (state === 'failed') return {};
      if (spawn === null) return atRest(boundary, policy, now);
      if (state === 'running') return running(boundary, policy, spawn, now);
      const runner = await runnerOf(presence, { ...boundary, agent: spawn.agent });
      return { runner, isHostOnline: await hostWords.isOnline(boundary, spawn.host) };
    },
  };
};
