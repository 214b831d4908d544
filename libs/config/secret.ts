// A secret by type: it prints as `[redacted]` however it is printed, and gives its value only when asked by name.
// It does not protect the memory of the process.

const shown = '[redacted]';

/** A value that logs, dumps, error messages and JSON never show. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Hand it to whoever needs it and keep it nowhere else. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return shown;
  }

  toJSON(): string {
    return shown;
  }

  [Symbol.toPrimitive](): string {
    return shown;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return shown;
  }
}
