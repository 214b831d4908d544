// How far a simulation gets: what happened in its lives, by kind, and how often. A simulation that is fast and blind shows by what is missing.

/** By kind (`event`, `fault`, `crash`, …), then by what it was, how often. Plain data: it goes between processes. */
export type ReachCounts = Readonly<Record<string, Readonly<Record<string, number>>>>;

export class Reach {
  readonly #kinds = new Map<string, Map<string, number>>();

  note(kind: string, what: string, count = 1): void {
    let counts = this.#kinds.get(kind);
    if (counts === undefined) this.#kinds.set(kind, (counts = new Map()));
    counts.set(what, (counts.get(what) ?? 0) + count);
  }

  add(counts: ReachCounts): void {
    for (const [kind, whats] of Object.entries(counts))
      for (const [what, count] of Object.entries(whats)) this.note(kind, what, count);
  }

  counts(): ReachCounts {
    return Object.fromEntries([...this.#kinds].map(([kind, counts]) => [kind, Object.fromEntries(counts)]));
  }

  /** Of each kind, one line: the `most` most frequent first. And of each kind that `wanted` names, what never happened. */
  lines(
    wanted: Readonly<Record<string, readonly string[]>> = {},
    most = Number.POSITIVE_INFINITY,
  ): readonly string[] {
    const kinds = [...this.#kinds].toSorted(([a], [b]) => a.localeCompare(b));
    return kinds.flatMap(([kind, counts]) => {
      const sorted = [...counts].toSorted(([, a], [, b]) => b - a);
      const told = sorted.slice(0, most).map(([what, count]) => `${what} ${count}`);
      if (sorted.length > most) told.push(`and ${sorted.length - most} more`);
      const never = (wanted[kind] ?? []).filter((what) => !counts.has(what));
      const line = `${kind} (${counts.size}): ${told.join(', ')}`;
      return never.length === 0 ? [line] : [line, `  never: ${never.join(', ')}`];
    });
  }
}
