// The instruction of a new run: by whoever creates it, and by the delivery of its creation for what that left undone. Of a run whose creation nobody
// can say otherwise (the attempt of a task) the instruction is sent beside it: its runner claims the run a moment later, and is answered once it is
// there (claims.ts). Where the run came so late that this may have failed, or not with its instruction at all, it is told once more.
import { createAhead } from '#libs/commands/ahead.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { AppendOutcome, EventLog } from '#libs/ports/event-log.ts';
import type { RunCreated } from '#streams/run.ts';
import { typedSubject, type Boundary } from '#streams/subjects.ts';
import type { Run } from './run-state.policy.ts';

/** How old a creation may be so that its instruction is not looked at twice: well within the time in which COMMANDS knows an id again. */
const FRESH_MS = 3_600_000;
/** So much later than its instruction a run may be stored that its claim still finds it: half of how long that waits (claims.ts). */
const MOST_EARLY_MS = 500;

const awaitsFirstClaim = ({ state, claims }: Run): boolean => state === 'queued' && claims === 0;

/** What an instruction says about itself, derived from its cause. */
export interface Cause {
  readonly boundary: Boundary;
  /** Id of the instruction. */
  readonly id: string;
  readonly causation: string;
  readonly actor: string;
}

/** What a new run is about. */
export type Work = Omit<RunCreated, 'type' | 'createdAt'>;

/** The turn that is due. */
export interface DueTurn extends Pick<Run, 'commandId' | 'resume'> {
  /** Its prompt; null: that of the run itself. */
  readonly text: string | null;
  readonly notBefore?: number | undefined;
}

interface Parts {
  readonly turn: (cause: Cause, work: Work, due: DueTurn) => Promise<AppendOutcome>;
  readonly runOf: (boundary: Boundary, runId: string) => Promise<Run>;
  /** The log of COMMANDS. */
  readonly commands: EventLog;
  readonly clock: Clock;
}

type Creation = Omit<Cause, 'id'>;

export const createBeginnings = ({ turn, runOf, commands, clock }: Parts) => {
  const ahead = createAhead();
  const idOf = ({ causation }: Creation): string => `${causation}.turn`;
  const dueOf = ({ commandId }: Work): DueTurn => ({ commandId, resume: [], text: null });

  const begin = (cause: Creation, work: Work): Promise<AppendOutcome> =>
    turn({ ...cause, id: idOf(cause) }, work, dueOf(work));

  /** The first time was before the run was there: that is why. */
  const beginAgain = (cause: Creation, work: Work): Promise<AppendOutcome> =>
    turn({ ...cause, causation: idOf(cause), id: `${idOf(cause)}.again` }, work, dueOf(work));

  /** Beside the creation. False: the run is not there, or was before. */
  const beginBeside = async (
    cause: Creation,
    work: Work,
    stored: Promise<RunCreated | undefined>,
  ): Promise<unknown> => {
    const sentMs = clock.monotonicMs();
    const [told, created] = await Promise.all([begin(cause, work), stored]);
    if (created === undefined) return false;
    const wasBefore = told.kind === 'appended' && told.duplicate;
    // An earlier try told of a run that was not there.
    return wasBefore || clock.monotonicMs() - sentMs > MOST_EARLY_MS ? beginAgain(cause, work) : true;
  };

  /** Whether the instruction at `seq` came so long before the run that a claim did not find it, and nobody has claimed it since. */
  const wasTooEarly = async (
    {
      boundary,
      agent,
      runId,
    }: { readonly boundary: Boundary; readonly agent: string; readonly runId: string },
    seq: number,
    storedAt: number,
  ): Promise<boolean> => {
    if (!awaitsFirstClaim(await runOf(boundary, runId))) return false;
    const subject = typedSubject(boundary, 'cmd', agent, 'turn');
    for await (const entry of commands.read(subject, seq))
      return entry.seq === seq && storedAt - entry.storedAt > MOST_EARLY_MS;
    return false;
  };

  return {
    soon: (created: Creation, stored: Promise<RunCreated | undefined>, sure?: Work): void =>
      ahead.note(
        created.causation,
        sure === undefined
          ? stored.then((event): unknown => (event === undefined ? false : begin(created, event)))
          : beginBeside(created, sure, stored),
      ),
    once: async (cause: Creation, event: RunCreated, storedAt: number): Promise<void> => {
      if (await ahead.take(cause.causation)) return;
      // Of long ago, because nobody worked meanwhile or the reactor's place is lost: what is past is not told again.
      const isOld = clock.now() - storedAt > FRESH_MS;
      if (isOld && !awaitsFirstClaim(await runOf(cause.boundary, event.runId))) return;
      const told = await begin(cause, event);
      if (told.kind !== 'appended' || !told.duplicate || event.task === undefined) return;
      const { agent, runId } = event;
      if (await wasTooEarly({ boundary: cause.boundary, agent, runId }, told.seq, storedAt))
        await beginAgain(cause, event);
    },
  };
};
