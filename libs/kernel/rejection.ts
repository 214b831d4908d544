// "No" as a value: a command was understood and refused by a rule. Returned by deciders, stored and mapped to HTTP
// only at the edge; it is never thrown. Codes are listed in streams/rejections.ts.

/** A refusal with a code of the form `NOUN_STATE`, e.g. `RUN_FENCED`. */
export interface Rejection<Code extends string = string> {
  readonly code: Code;
  /** One sentence for a person: what was refused and why. */
  readonly message: string;
  /** Facts that help the caller. Never a secret. */
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Builds a {@link Rejection}. */
export const rejection = <Code extends string>(
  code: Code,
  message: string,
  detail: Readonly<Record<string, unknown>> = {},
): Rejection<Code> => ({ code, message, detail });
