// How the order of a queue has changed: of the places that are watched only those that differ. Pure.

/** A task whose place is another now; places count from 1, null: it is not among those that are watched. */
export interface PlaceChange {
  readonly taskId: string;
  readonly from: number | null;
  readonly to: number | null;
}

/** The changes from one order to another: those that have a place by their new one, then those that have left by their old one. */
export const placeChanges = (before: readonly string[], after: readonly string[]): readonly PlaceChange[] => {
  const old = new Map(before.map((taskId, at) => [taskId, at + 1]));
  const changes: PlaceChange[] = [];
  for (const [at, taskId] of after.entries()) {
    const from = old.get(taskId) ?? null;
    old.delete(taskId);
    if (from !== at + 1) changes.push({ taskId, from, to: at + 1 });
  }
  for (const [taskId, from] of old) changes.push({ taskId, from, to: null });
  return changes;
};
