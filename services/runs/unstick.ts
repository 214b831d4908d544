// What a run waits for, and the safe thing to do about it, on request. Looks at the log, its lease, the presence of its runner and the
// instructions that are kept; whatever it does goes through the rules of the run, so at worst it changes nothing.
import { rejection } from '#libs/kernel/rejection.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { ok, refused } from '#libs/service/request-answer.ts';
import { presenceKey, presenceSchema } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import type { RunRequestOf, RunResultOf } from '#streams/run-requests.ts';
import { typedFilter, type Boundary } from '#streams/subjects.ts';
import type { ApprovalDeadlines } from './approval-deadlines.ts';
import type { RunAnswer } from './claims.ts';
import type { Instructions } from './instructions.ts';
import type { Leases } from './leases.ts';
import type { LostLeases } from './lost-leases.ts';
import type { Run } from './run-state.policy.ts';
import type { RunLog } from './run-log.ts';
import type { UnfinishedRuns } from './unfinished-runs.ts';
import { findingOf, REMEDY_WORDS, type Remedy, type RunFacts } from './unstick.policy.ts';

interface Parts {
  readonly runLog: RunLog;
  readonly leases: Leases;
  readonly lostLeases: Pick<LostLeases, 'look'>;
  readonly deadlines: Pick<ApprovalDeadlines, 'look'>;
  readonly instructions: Pick<Instructions, 'remind' | 'cancelAgain'>;
  readonly unfinished: Pick<UnfinishedRuns, 'ofAgent'>;
  readonly presence: KeyValue;
  /** The log of COMMANDS. */
  readonly commands: EventLog;
  readonly clock: Clock;
}

/** What clocks of control plane and broker may differ by. */
const SKEW_MS = 60_000;

const runnerOf = async (
  { presence }: Parts,
  boundary: Boundary,
  agent: string,
): Promise<RunFacts['runner']> => {
  const entry = await presence.get(presenceKey(boundary, agent));
  const parsed = presenceSchema.safeParse(entry === undefined ? undefined : parseJson(entry.value));
  if (!parsed.success) return null;
  const { runnerId, providers, slots = 1 } = parsed.data;
  return { runnerId, providers, slots };
};

/** Whether any instruction to begin the turn that is due is kept. */
const isInstructed = async ({ commands }: Parts, boundary: Boundary, run: Run): Promise<boolean> => {
  const { agent, createdAt } = run.created;
  const subjects = [typedFilter('cmd', { ...boundary, id: agent, type: 'turn' })];
  for await (const entry of commands.replay({ subjects, from: { atMs: createdAt - SKEW_MS } })) {
    const reading = decodeInstruction(entry);
    if (reading.kind === 'known' && reading.name === 'turn' && reading.data.commandId === run.commandId)
      return true;
  }
  return false;
};

const factsOf = async (parts: Parts, boundary: Boundary, run: Run): Promise<RunFacts> => {
  const { agent, runId, createdAt } = run.created;
  const others = parts.unfinished.ofAgent(boundary, agent).filter((other) => other.runId !== runId);
  return {
    now: parts.clock.now(),
    hasLease: await parts.leases.exists(boundary, runId),
    runner: await runnerOf(parts, boundary, agent),
    isInstructed: run.state === 'queued' && (await isInstructed(parts, boundary, run)),
    held: others.filter((other) => other.isHeld).length,
    before: others.filter((other) => other.isQueued && other.createdAt < createdAt).length,
  };
};

const apply = async (parts: Parts, boundary: Boundary, run: Run, remedy: Remedy): Promise<void> => {
  const { runId } = run.created;
  const occasion = `by-hand-${parts.clock.now()}`;
  if (remedy === 'remind') return parts.instructions.remind(boundary, run, occasion);
  if (remedy === 'cancel-again') return parts.instructions.cancelAgain(boundary, run, occasion);
  if (remedy === 'expire-lease') return parts.lostLeases.look(boundary, runId);
  for (const { approvalId } of run.open) await parts.deadlines.look({ boundary, runId, approvalId });
};

/** The operation `unstick`. */
export const unstickRequest =
  (parts: Parts) =>
  async (
    boundary: Boundary,
    { runId, fix, actor }: RunRequestOf<'unstick'>,
  ): Promise<RunAnswer<RunResultOf<'unstick'>>> => {
    const target = { boundary, runId, actor };
    const { state: run, seq } = await parts.runLog.load(target);
    if (run === undefined) return refused(rejection('RUN_UNKNOWN', 'no run has this id'));
    const { waitsFor, words, remedy } = findingOf(run, await factsOf(parts, boundary, run));
    const fixed = fix && remedy !== null;
    if (fixed) await apply(parts, boundary, run, remedy);
    const after = fixed ? await parts.runLog.load(target) : { state: run, seq };
    return ok({
      runId,
      seq: after.seq,
      state: after.state?.state ?? run.state,
      waitsFor,
      words: [...words],
      remedy: remedy === null ? null : REMEDY_WORDS[remedy],
      fixed,
    });
  };
