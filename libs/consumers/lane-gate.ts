// Keeps the order of a lane whose later entries were given back to the queue because too many of them waited in hand.
// A given-back entry comes again; until the lowest one has, later entries of the lane are given back as well.
// Does not wait for ever: an entry that stays away (another instance has taken it) is forgotten after a while.

export interface LaneGates {
  /**
   * May this entry join its lane now? `hasRoom` is false when the lane holds as many entries as it may.
   * False means: give it back for `returnMs`. `nowMs` gives monotonic ms; most entries need no look at the clock.
   */
  admit(
    lane: string,
    entry: { readonly seq: number; readonly nowMs: () => number; readonly hasRoom: boolean },
  ): boolean;
  /** Lanes with entries that were given back and have not come again. */
  readonly size: number;
}

interface Gate {
  /** Sequence → when to stop waiting for it. */
  readonly away: Map<number, number>;
}

const lowestAway = (gate: Gate, nowMs: number): number | undefined => {
  let lowest: number | undefined;
  for (const [seq, untilMs] of gate.away) {
    if (untilMs <= nowMs) gate.away.delete(seq);
    else if (lowest === undefined || seq < lowest) lowest = seq;
  }
  return lowest;
};

/** `patienceMs`: how long a given-back entry is waited for; more than its return delay and the ack wait together. */
export const createLaneGates = (patienceMs: number): LaneGates => {
  const gates = new Map<string, Gate>();
  return {
    admit: (lane, { seq, nowMs, hasRoom }) => {
      const gate = gates.get(lane);
      if (gate === undefined && hasRoom) return true;
      const now = nowMs();
      const lowest = gate === undefined ? undefined : lowestAway(gate, now);
      if (hasRoom && (lowest === undefined || seq <= lowest)) {
        gate?.away.delete(seq);
        if (gate?.away.size === 0) gates.delete(lane);
        return true;
      }
      const closed = gate ?? { away: new Map<number, number>() };
      closed.away.set(seq, now + patienceMs);
      gates.set(lane, closed);
      return false;
    },
    get size() {
      return gates.size;
    },
  };
};
