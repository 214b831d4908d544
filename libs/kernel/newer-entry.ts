// Thrown by whoever reads an entry for a fold and finds a type that it does not know: a newer version wrote it. Not a fault: the fold passes
// over it and says so; the version that knows it folds its bucket anew, because it folds in another way.
export class NewerEntry extends Error {
  /** Of the entry. */
  readonly type: string;

  constructor(type: string) {
    super(`${type} is not known here: a newer version wrote it`);
    this.name = 'NewerEntry';
    this.type = type;
  }
}
