// The one error class of the system: something is broken (as opposed to refused, see rejection.ts).
// A Fault says what the caller should do next by its retry class; it never carries a business refusal.

/**
 * What a caller does about a fault: `now` – the state was seen to have moved, load again and retry at once;
 * `later` – a dependency is away, retry with backoff and without counting against the work; `never` – retrying cannot help.
 */
export type RetryClass = 'now' | 'later' | 'never';

export interface FaultOptions {
  /** Machine-readable, `SYSTEM_WHAT`, e.g. `LOG_UNAVAILABLE`. */
  readonly code: string;
  readonly retry: RetryClass;
  readonly message: string;
  /** Facts for a log line or a problem document. Never a secret. */
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** Broken infrastructure or unusable input at a boundary, with a code and a retry class. */
export class Fault extends Error {
  readonly code: string;
  readonly retry: RetryClass;
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(options: FaultOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Fault';
    this.code = options.code;
    this.retry = options.retry;
    this.detail = options.detail ?? {};
  }
}

/** The fault itself when `error` is one, otherwise a `UNEXPECTED_ERROR` fault that keeps it as its cause. */
export const toFault = (error: unknown): Fault =>
  error instanceof Fault
    ? error
    : new Fault({
        code: 'UNEXPECTED_ERROR',
        retry: 'later',
        message: error instanceof Error ? error.message : String(error),
        cause: error,
      });
