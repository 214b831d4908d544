// Checks for what cannot happen. A broken invariant means that this process can no longer be trusted:
// consumers do not acknowledge on it, and the process ends (the log is the truth, a restart folds it again).

/** Thrown by {@link invariant}; never caught except to end the process. */
export class InvariantBroken extends Error {
  constructor(message: string) {
    super(`invariant broken: ${message}`);
    this.name = 'InvariantBroken';
  }
}

/** Throws {@link InvariantBroken} unless `condition` holds. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantBroken(message);
}

/** For the default branch of an exhaustive switch. */
export const unreachable = (value: never): never => {
  throw new InvariantBroken(`unhandled case ${JSON.stringify(value)}`);
};
