// Whose fault it is that a turn could not begin: the runner's or its machine's (anybody's work would fail here, and elsewhere this may
// well be done), or that of what was asked (it would fail everywhere). Pure.
import { Fault } from '#libs/kernel/fault.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import type { TurnFacts } from './providers/turn-facts.ts';

type Request = TurnInstruction['request'];

/** What was thrown while a turn was made ready. The system's own errors (no space, no right) are the machine's. */
export const isUnfitAfter = (error: unknown, { checkout }: Request): boolean => {
  if (!(error instanceof Fault)) return true;
  // The branch or repository that a run names may not be there.
  if (error.code === 'GIT_FAILED') return checkout === undefined;
  return error.code === 'DISK_FLOOR' || error.code === 'PROVIDER_MISSING';
};

/** The facts of an end, with whose fault it is that the program was not started: a program of the runner's settings is the runner's. */
export const withFitness = (facts: TurnFacts, request: Request): TurnFacts =>
  facts.startProblem === null || request.program !== undefined ? facts : { ...facts, isUnfit: true };
