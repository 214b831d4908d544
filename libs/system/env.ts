// The only reader of the process environment; everything else receives it as a value.

/** A snapshot of the environment at the time of the call. */
export const readEnvironment = (): Readonly<Record<string, string | undefined>> => ({ ...process.env });
