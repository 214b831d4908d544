// What a reactor has done before its delivery came, by the id of what caused it: whoever stored the cause need not wait for the log to hand it
// out again. The delivery looks here and finds it done; after a crash, in another instance, or when it failed, it does it as ever.
// Bounded: the oldest is forgotten, and then done once more, which derived ids make harmless.

export interface Ahead {
  /**
   * `work` has begun, or will once the cause is stored: noted before that, it cannot be overtaken by the delivery, which comes with the answer
   * of the append or before it. Resolves to false: there is nothing that it has done. Never throws.
   */
  note(causation: string, work: Promise<unknown>): void;
  /** Whether it was done; waits for what is under way, and forgets it. False: it was not begun here, or has failed. */
  take(causation: string): Promise<boolean> | false;
}

const MOST_KEPT = 1000;

export const createAhead = (): Ahead => {
  const kept = new Map<string, Promise<boolean>>();
  return {
    note: (causation, work) => {
      const done = work.then(
        (result) => result !== false,
        () => false,
      );
      kept.set(causation, done);
      // What was not done here is nobody's to find.
      void done.then((isDone) => !isDone && kept.get(causation) === done && kept.delete(causation));
      for (const [oldest] of kept) {
        if (kept.size <= MOST_KEPT) break;
        kept.delete(oldest);
      }
    },
    take: (causation) => {
      const work = kept.get(causation) ?? false;
      kept.delete(causation);
      return work;
    },
  };
};
