// Order per subject: an operation starts when every earlier one that shares a subject with it has ended. Operations on
// different subjects do not wait for one another. Knows nothing of brokers.

export interface LaneOperation {
  /** Without repeats. */
  readonly lanes: readonly string[];
  /** Lanes in which an earlier operation has not ended; kept by {@link AppendLanes}. */
  blockers: number;
}

export class AppendLanes<Operation extends LaneOperation> {
  readonly #lanes = new Map<string, Operation[]>();

  /** Takes its place in each of its lanes. Returns whether it may start now. */
  enter(operation: Operation): boolean {
    for (const name of operation.lanes) {
      const lane = this.#lanes.get(name);
      if (lane === undefined) this.#lanes.set(name, [operation]);
      else {
        lane.push(operation);
        operation.blockers += 1;
      }
    }
    return operation.blockers === 0;
  }

  /** Ends a started operation; `onReady` is called for each that may start now. */
  leave(operation: Operation, onReady: (operation: Operation) => void): void {
    for (const name of operation.lanes) {
      const lane = this.#lanes.get(name);
      if (lane === undefined || lane.length <= 1) {
        this.#lanes.delete(name);
        continue;
      }
      lane.shift();
      const [next] = lane;
      if (next === undefined) continue;
      next.blockers -= 1;
      if (next.blockers === 0) onReady(next);
    }
  }
}
