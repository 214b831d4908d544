// Providers that take nothing for a while, because the quota of whoever pays for them is used up. Noted by the agent whose run was turned
// down; agents that name the same account wait with it. Pure: who holds it ends a pause when its time has come.

export interface Pauses {
  /** Nothing of this provider until then, epoch ms; a pause that lasts longer stays. */
  pause(agent: string, provider: string, untilMs: number): void;
  /** Ends those that are over by now. True when there was one. */
  endDue(nowMs: number): boolean;
  /** Until when the longest one is; undefined: none is on. `isShared`: whether another agent's quota is also this one's. */
  until(agent: string, provider: string, isShared: (other: string) => boolean): number | undefined;
  /** When the first one ends; undefined: none is on. */
  next(): number | undefined;
}

interface Pause {
  readonly agent: string;
  readonly provider: string;
  readonly untilMs: number;
}

class PauseSet implements Pauses {
  readonly #pauses = new Map<string, Pause>();

  pause(agent: string, provider: string, untilMs: number): void {
    const key = `${agent} ${provider}`;
    if ((this.#pauses.get(key)?.untilMs ?? 0) < untilMs) this.#pauses.set(key, { agent, provider, untilMs });
  }

  endDue(nowMs: number): boolean {
    let ended = false;
    for (const [key, { untilMs }] of this.#pauses)
      if (untilMs <= nowMs) ended = this.#pauses.delete(key) || ended;
    return ended;
  }

  until(agent: string, provider: string, isShared: (other: string) => boolean): number | undefined {
    let longest: number | undefined;
    for (const pause of this.#pauses.values())
      if (pause.provider === provider && (pause.agent === agent || isShared(pause.agent)))
        longest = Math.max(longest ?? 0, pause.untilMs);
    return longest;
  }

  next(): number | undefined {
    return this.#pauses.size === 0
      ? undefined
      : Math.min(...[...this.#pauses.values()].map(({ untilMs }) => untilMs));
  }
}

/** Nothing is paused. */
export const noPauses = (): Pauses => new PauseSet();
