// Names that no other test of this run, in this process or another, has used: tests that share a broker never meet.
import { ulid } from 'ulid';

let count = 0;

/** A name that matches `[a-z0-9][a-z0-9_-]{0,63}` and is used once, e.g. `log-3kq…-1`. */
export const freshName = (label = 't'): string => {
  count += 1;
  return `${label}-${ulid().slice(4).toLowerCase()}-${count}`;
};
