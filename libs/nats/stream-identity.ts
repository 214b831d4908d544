// Notices that a stream is not the one it was: deleted and made anew, or without its end (an unsynced broker that lost power).
// Positions in such a stream mean nothing any more.

/** How the stream was when a consumer was opened. */
export interface StreamFacts {
  readonly lastSeq: number;
  /** The broker's time of creation, as text. */
  readonly created: string;
}

/** A replica that has just become leader may not have applied its last entries yet: one look is not enough. */
const SIGHTINGS = 20;

export class StreamIdentity {
  #created: string | undefined;
  #sightings = 0;

  /** `seenSeq`: the last sequence read. `unclear`: look again after a while. */
  check(facts: StreamFacts, seenSeq: number): 'same' | 'replaced' | 'unclear' {
    const isOther = this.#created !== undefined && facts.created !== this.#created;
    this.#created = facts.created;
    if (isOther) return 'replaced';
    if (facts.lastSeq >= seenSeq) {
      this.#sightings = 0;
      return 'same';
    }
    this.#sightings += 1;
    return this.#sightings >= SIGHTINGS ? 'replaced' : 'unclear';
  }
}
