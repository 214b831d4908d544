// What keeps many readers from taking all there is at once: who may go on, and how many at a time. Decides nothing about what they do.
import { nextTurn } from '#libs/service/next-turn.ts';

/** What all live streams together send before others of this process have their turn: a few milliseconds of it. */
const TURN_BYTES = 256 * 1024;

/** Shares the time of the process between those who send and everybody else: without it they go on for as long as there is something to send. */
export class SendTurns {
  readonly #bytes: number;
  #left: number;
  #next: Promise<void> | undefined;

  constructor(bytes = TURN_BYTES) {
    this.#bytes = bytes;
    this.#left = bytes;
  }

  /** What was sent. */
  spend(bytes: number): void {
    this.#left -= bytes;
  }

  /** Resolves when more may be sent: in the order in which they have asked. */
  async mine(): Promise<void> {
    while (this.#left <= 0) await (this.#next ??= this.#begin());
  }

  async #begin(): Promise<void> {
    await nextTurn();
    this.#next = undefined;
    this.#left = this.#bytes;
  }
}

/** Lets so many do something at a time; the others wait in order. */
export class Turnstile {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  /** Does it when there is a place; gives and throws what it does. */
  async pass<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
