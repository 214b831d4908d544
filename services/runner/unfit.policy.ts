// Whose fault it is that a turn could not begin: the runner's or its machine's (anybody's work would fail here, and elsewhere this may
// well be done), or that of what was asked (it would fail everywhere). Pure.
import { Fault } from '#libs/kernel/fault.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import type { TurnFacts } from './providers/turn-facts.ts';

type Request = TurnInstruction['request'];

/** By what it was asked for a fault can be the order's; null: never. What names no code here is the order's. */
const OF_RUNNER: Readonly<Record<string, ((request: Request) => boolean) | null>> = {
  DISK_FLOOR: null,
  PROVIDER_MISSING: null,
  // The branch or repository that a run names may not be there.
  GIT_FAILED: ({ checkout }) => checkout !== undefined,
};

/** What was thrown while a turn was made ready. The system's own errors (no space, no right) are the machine's. */
export const isUnfitAfter = (error: unknown, request: Request): boolean => {
  if (!(error instanceof Fault)) return true;
  const isOfOrder = OF_RUNNER[error.code];
  return isOfOrder === null || isOfOrder?.(request) === false;
};

/** The facts of an end, with whose fault it is that the program was not started: a program of the runner's settings is the runner's. */
export const withFitness = (facts: TurnFacts, request: Request): TurnFacts =>
  facts.startProblem === null || request.program !== undefined ? facts : { ...facts, isUnfit: true };
