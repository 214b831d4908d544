// The fault of an append that no retry can help.
import { Fault } from '#libs/kernel/fault.ts';

/** `LOG_REFUSED`. */
export const refused = (message: string, detail: Readonly<Record<string, unknown>> = {}): Fault =>
  new Fault({ code: 'LOG_REFUSED', retry: 'never', message, detail });
