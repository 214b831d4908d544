// Long work in steps, so that whoever else has something to do is not held up by it.

/** Resolves once what is waiting in this process has had its turn. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
