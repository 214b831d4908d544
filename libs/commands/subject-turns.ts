// Turns: work on one subject runs one after another in the order it was asked for, work on different subjects side by side.
// A second append in flight on the same subject could only lose; taking turns inside the process spares the conflict.

export interface SubjectTurns {
  /** Runs `work` when all earlier work on `subject` has settled. */
  take<T>(subject: string, work: () => Promise<T>): Promise<T>;
  /** Subjects with work. */
  readonly size: number;
}

export const createSubjectTurns = (): SubjectTurns => {
  const tails = new Map<string, Promise<unknown>>();
  return {
    take: (subject, work) => {
      const before = tails.get(subject);
      const turn = before === undefined ? work() : before.then(work, work);
      const forget = (): void => {
        if (tails.get(subject) === turn) tails.delete(subject);
      };
      tails.set(subject, turn);
      turn.then(forget, forget);
      return turn;
    },
    get size() {
      return tails.size;
    },
  };
};
