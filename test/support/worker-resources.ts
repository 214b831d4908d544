// What one test file starts once and all its tests use; ended by worker-end.ts in reverse order.

const shared: AsyncDisposable[] = [];

/** Has `resource` ended after the last test of the file. */
export const shareUntilWorkerEnd = (resource: AsyncDisposable): void => {
  shared.push(resource);
};

/** Ends everything that was shared; failures are reported after all were tried. */
export const disposeShared = async (): Promise<void> => {
  const stack = new AsyncDisposableStack();
  for (const resource of shared.splice(0)) stack.use(resource);
  await stack.disposeAsync();
};
