// A secret by type: it prints as `[redacted]` however it is printed, and gives its value only when asked by name.
// It does not protect the memory of the process.

const shown = '[redacted]';

/** A value that logs, dumps, error messages and JSON never show. */
export class Secret {
  #value: string;
  readonly #read: (() => string) | undefined;
  readonly #listeners: ((value: string) => void)[] = [];

  /** `read` gives it anew where it may change while the process runs (a file); it may throw. */
  constructor(value: string, read?: () => string) {
    this.#value = value;
    this.#read = read;
  }

  /** The value itself. Hand it to whoever needs it and keep it nowhere else. */
  reveal(): string {
    return this.#value;
  }

  /** The value as it is now where it came from; as it was when that cannot be read, or is empty (somebody is writing it). Never throws. */
  revealLatest(): string {
    const latest = this.#readAgain();
    if (latest === this.#value) return latest;
    this.#value = latest;
    for (const listener of this.#listeners) listener(latest);
    return latest;
  }

  /** Calls `listener` with each other value that turns up. */
  onChange(listener: (value: string) => void): void {
    this.#listeners.push(listener);
  }

  #readAgain(): string {
    try {
      const latest = this.#read?.() ?? '';
      return latest === '' ? this.#value : latest;
    } catch {
      return this.#value;
    }
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
