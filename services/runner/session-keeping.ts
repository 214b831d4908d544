// Gives up notes about sessions that are not worth keeping, now and then, and never those of a session that a turn is in or waits for.
import type { Outbox } from '#libs/outbox/outbox.ts';
import type { SessionNotes } from './session-notes.ts';
import type { KeepRule } from './session-prune.policy.ts';

/** Turns between two looks. */
const EVERY_TURNS = 64;

export interface SessionKeepingParts {
  readonly sessions: SessionNotes;
  readonly outbox: Pick<Outbox, 'commit'>;
  readonly rule: KeepRule;
  readonly onFatal: (error: unknown) => void;
}

export class SessionKeeping {
  readonly #parts: SessionKeepingParts;
  readonly #uses = new Map<string, number>();
  #left = 0;

  constructor(parts: SessionKeepingParts) {
    this.#parts = parts;
  }

  /** A turn of the session is here, waiting or at work, until what is returned is called. Harmless when called again. */
  enter(sessionId: string): () => void {
    this.#uses.set(sessionId, (this.#uses.get(sessionId) ?? 0) + 1);
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      const uses = (this.#uses.get(sessionId) ?? 1) - 1;
      if (uses === 0) this.#uses.delete(sessionId);
      else this.#uses.set(sessionId, uses);
      this.#left += 1;
      if (this.#left % EVERY_TURNS === 0) this.prune().catch(this.#parts.onFatal);
    };
  }

  /** Resolves with how many notes were given up. */
  async prune(): Promise<number> {
    const { sessions, outbox, rule } = this.#parts;
    const notes = sessions.prune(rule, new Set(this.#uses.keys()));
    if (notes.length > 0) await outbox.commit({ notes });
    return notes.length;
  }
}
