// Errors as plain log fields: name, message, code and retry class of faults, stack, and the chain of causes. Pure; never throws.
import { Fault } from '#libs/kernel/fault.ts';

/** What a log line says of an error. */
export interface ErrorFields {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly retry?: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly stack?: string;
  readonly cause?: ErrorFields;
}

const mostCauses = 5;

/** Describes anything thrown; causes up to five deep. */
export const describeError = (error: unknown, depth = 0): ErrorFields => {
  if (!(error instanceof Error)) return { name: typeof error, message: String(error) };
  const code: unknown = 'code' in error ? error.code : undefined;
  return {
    name: error.name,
    message: error.message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(error instanceof Fault ? { retry: error.retry } : {}),
    ...(error instanceof Fault && Object.keys(error.detail).length > 0 ? { detail: error.detail } : {}),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(error.cause === undefined || depth >= mostCauses
      ? {}
      : { cause: describeError(error.cause, depth + 1) }),
  };
};
