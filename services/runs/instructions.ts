// The reactor of the runs service: transitions that call for work or for its end become instructions to the run's agent.
// Ids follow from the transition, so a transition that comes again instructs nobody twice; and a runner claims before it works.
import { ok, type Handled } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { AppendOutcome, EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { EntryParts } from '#streams/entry.ts';
import type { Envelope } from '#streams/envelope.ts';
import { encodeInstruction, type InstructionMeta } from '#streams/instruction-codec.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import type { RunCreated, RunEvent } from '#streams/run.ts';
import type { Boundary } from '#streams/subjects.ts';
import { answerOf } from './run.approvals.decider.ts';
import { isEnded, isHeld, type CommandRecord, type Run } from './run-state.policy.ts';
import { createBeginnings, type Cause, type DueTurn, type Work } from './beginnings.ts';
import { SOURCE, type RunLog } from './run-log.ts';

/** A transition that instructs somebody. */
export interface InstructingTransition {
  readonly boundary: Boundary;
  readonly event: Extract<
    RunEvent,
    {
      readonly type:
        | 'fleetlog.run.created.v1'
        | 'fleetlog.run.lease-expired.v1'
        | 'fleetlog.run.cancel-requested.v1'
        | 'fleetlog.run.approval-answered.v1'
        | 'fleetlog.run.turn-started.v1'
        | 'fleetlog.run.turn-finished.v1'
        | 'fleetlog.run.command-created.v1';
    }
  >;
  readonly envelope: Envelope;
  /** When the log stored it, epoch ms. */
  readonly storedAt: number;
}

/** The transition of an entry; undefined for one that instructs nobody. Throws `RUN_UNREADABLE` (never). */
export const decodeInstructingTransition = (entry: StoredEntry): InstructingTransition | undefined => {
  const reading = decodeRunEvent(entry);
  if (reading.kind === 'problem')
    throw new Fault({ code: 'RUN_UNREADABLE', retry: 'never', message: reading.problem });
  if (reading.kind === 'unknown') return undefined;
  const { event, envelope, place } = reading;
  const { tenant, project } = place;
  if (!isInstructing(event)) return undefined;
  return { boundary: { tenant, project }, event, envelope, storedAt: entry.storedAt };
};

const INSTRUCTING: ReadonlySet<RunEvent['type']> = new Set<InstructingTransition['event']['type']>([
  'fleetlog.run.created.v1',
  'fleetlog.run.lease-expired.v1',
  'fleetlog.run.cancel-requested.v1',
  'fleetlog.run.approval-answered.v1',
  'fleetlog.run.turn-finished.v1',
]);

/** Of the frequent ones, only those that have something for a runner: the rest need not be looked at. */
const isInstructing = (event: RunEvent): event is InstructingTransition['event'] => {
  if (event.type === 'fleetlog.run.turn-started.v1') return event.commandIds !== undefined;
  if (event.type === 'fleetlog.run.command-created.v1') return event.fence !== null;
  return INSTRUCTING.has(event.type);
};

interface Parts {
  readonly runLog: RunLog;
  /** The log of COMMANDS. */
  readonly commands: EventLog;
  readonly clock: Clock;
}

export interface Instructions {
  handle(transition: InstructingTransition): Promise<Handled>;
  /**
   * Instructs for a creation as soon as it is stored (`undefined`: it is not, or was before), without waiting for its delivery, which finds it
   * told. Called before it is stored: under load the delivery comes first. `sure`: what it will say, where nobody else can say otherwise; then
   * the instruction is on its way beside it, and a runner that is faster waits for the run (claims.ts). Never throws: what fails is left to the
   * delivery.
   */
  beginSoon(created: Omit<Cause, 'id'>, stored: Promise<RunCreated | undefined>, sure?: Work): void;
  /** Tells the agent once more that a queued run waits; `occasion` makes the id, so that one occasion tells once. */
  remind(boundary: Boundary, run: Run, occasion: string): Promise<void>;
  /** Tells the agent once more that a run is to end. */
  cancelAgain(boundary: Boundary, run: Run, occasion: string): Promise<void>;
}

type Answered = Extract<RunEvent, { readonly type: 'fleetlog.run.approval-answered.v1' }>;

const turnOf = (work: Work, { commandId, resume, text, notBefore }: DueTurn): TurnInstruction => {
  const { runId, sessionId, agent, provider, leaseMs } = work;
  const { conversation, ...rest } = work.request;
  // Begun anew once: what follows goes on with it.
  const isBeginning = text === null && resume.length === 0 && conversation !== undefined;
  const request = { ...rest, ...(isBeginning && { conversation }), ...(text !== null && { prompt: text }) };
  const data = { commandId, runId, sessionId, agent, provider, request, leaseMs };
  return {
    ...data,
    ...(resume.length > 0 && { approvals: [...resume] }),
    ...(notBefore !== undefined && { notBefore }),
  };
};

/** Writes instructions. No expectation on any, and no order among them: those of different runs share the agent's subject and do not depend on one another; those of one run are written one after another. */
const createSender = ({ commands, clock }: Pick<Parts, 'commands' | 'clock'>) => {
  const append = (entry: EntryParts): Promise<AppendOutcome> =>
    commands.append({ ...entry, inAnyOrder: true });
  const metaOf = (cause: Cause, work: Work): InstructionMeta => ({
    ...cause,
    target: work.agent,
    source: SOURCE,
    timeMs: clock.now(),
    correlation: work.runId,
  });
  const turn = (cause: Cause, work: Work, due: DueTurn): Promise<AppendOutcome> =>
    append(encodeInstruction('turn', turnOf(work, due), metaOf(cause, work)));
  const cancel = async (cause: Cause, work: Work, reason: string): Promise<void> => {
    await append(encodeInstruction('cancel', { runId: work.runId, reason }, metaOf(cause, work)));
  };
  /** A parked run goes on with a new instruction, a held one's runner is told. */
  const answer = async (cause: Omit<Cause, 'id'>, run: Run, event: Answered): Promise<void> => {
    const { runId, fence, commandId } = event;
    const approval = answerOf(event);
    if (commandId !== null) {
      const goesOn = { commandId, resume: [approval], text: promptOf(run) };
      await turn({ ...cause, id: `${cause.causation}.turn` }, run.created, goesOn);
      return;
    }
    // Withdrawn: nobody waits for it. Another claim holds the run: its program never asked.
    if (event.decision === 'withdrawn' || !isHeld(run) || run.claims !== fence) return;
    const data = { runId, fence, approval };
    const meta = metaOf({ ...cause, id: `${cause.causation}.answer` }, run.created);
    await append(encodeInstruction('answer-approval', data, meta));
  };
  /** What the claim under `fence` is to be told of commands; what is past by now is not told. */
  const command = async (
    cause: Omit<Cause, 'id'>,
    run: Run,
    { ids, fence }: { readonly ids: readonly string[]; readonly fence: number },
  ): Promise<void> => {
    const { runId } = run.created;
    if (!isHeld(run) || run.claims !== fence) return;
    for (const { commandId, type, text, reason = '' } of openCommands(run, ids, fence)) {
      // The claim is part of the id: another one is told anew.
      const meta = metaOf({ ...cause, id: `${commandId}.${type}.${fence}` }, run.created);
      const about = { runId, fence, commandId };
      await append(
        type === 'interrupt'
          ? encodeInstruction('interrupt', { ...about, reason }, meta)
          : encodeInstruction('steer', { ...about, text: text ?? '' }, meta),
      );
    }
  };
  return { turn, cancel, answer, command };
};

const openCommands = (run: Run, ids: readonly string[], fence: number): readonly CommandRecord[] =>
  run.commands.filter(
    (command) => ids.includes(command.commandId) && command.state === 'pending' && command.fence === fence,
  );

/** When the next attempt may begin, by the clock of the runner that could not. */
const notBeforeOf = (event: RunEvent): number | undefined =>
  event.type === 'fleetlog.run.lease-expired.v1' && event.retryAfterMs !== undefined
    ? event.expiredAt + event.retryAfterMs
    : undefined;

/** The prompt of the turn that is due; null: that of the run itself. */
const promptOf = ({ commands, turnCommandId }: Run): string | null =>
  commands.find(({ commandId }) => commandId === turnCommandId)?.text ?? null;

export const createInstructions = ({ runLog, ...parts }: Parts): Instructions => {
  const { turn, cancel, answer, command } = createSender(parts);
  const runOf = async (boundary: Boundary, runId: string): Promise<Run> => {
    const { state } = await runLog.load({ boundary, runId, actor: 'service:runs' });
    if (state !== undefined) return state;
    const message = `run ${runId} has a transition and was never created`;
    throw new Fault({ code: 'RUN_UNREADABLE', retry: 'never', message });
  };

  const beginnings = createBeginnings({ ...parts, turn, runOf });

  return {
    beginSoon: beginnings.soon,
    handle: async ({ boundary, event, envelope, storedAt }) => {
      const { id: causation, actor } = envelope;
      const cause = { boundary, causation, actor };
      if (event.type === 'fleetlog.run.created.v1') {
        await beginnings.once(cause, event, storedAt);
        return ok;
      }
      if (event.type === 'fleetlog.run.lease-expired.v1' && event.commandId === null) return ok;
      const run = await runOf(boundary, event.runId);
      if (isEnded(run.state)) return ok;
      const { fence } = event;
      if (event.type === 'fleetlog.run.cancel-requested.v1')
        await cancel({ ...cause, id: `${causation}.instruct` }, run.created, event.reason);
      else if (event.type === 'fleetlog.run.approval-answered.v1') await answer(cause, run, event);
      else if (event.type === 'fleetlog.run.command-created.v1')
        await command(cause, run, { ids: [event.commandId], fence: fence ?? 0 });
      else if (event.type === 'fleetlog.run.turn-started.v1')
        await command(cause, run, { ids: event.commandIds ?? [], fence: event.fence });
      // The turn of a later instruction is for that instruction to begin.
      else if (run.commandId === event.commandId)
        await turn({ ...cause, id: `${causation}.turn` }, run.created, {
          ...run,
          text: promptOf(run),
          notBefore: notBeforeOf(event),
        });
      return ok;
    },
    cancelAgain: (boundary, run, occasion) => {
      const id = `${run.created.runId}.cancel.${occasion}`;
      const cause = { boundary, id, causation: occasion, actor: 'service:runs' };
      return cancel(cause, run.created, run.cancelReason ?? 'cancel requested');
    },
    remind: async (boundary, run, occasion) => {
      const attempt = run.claims + 1;
      const { runId } = run.created;
      const id = `${runId}.remind.${attempt}.${occasion}`;
      const cause = { boundary, id, causation: occasion, actor: 'service:runs' };
      await turn(cause, run.created, { ...run, text: promptOf(run) });
    },
  };
};
