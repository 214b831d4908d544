// The API tokens of a file, as they are now: the file is looked at again at most four times a second, so what is added or revoked counts at once
// and without a restart. A file that cannot be read any more changes nothing until it can; one that is gone holds no token.
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { tokenFileSchema, type ApiToken } from '#streams/tokens.ts';

export interface TokenBook {
  /** Whose token it is; undefined: nobody's. Does not look at boundary and expiry. Faults: none once it is open. */
  find(token: string): ApiToken | undefined;
}

/** How long a look at the file counts. */
const LOOK_MS = 250;

const digest = (token: string): string => createHash('sha256').update(token).digest('hex');

const unreadable = (path: string, cause: unknown): Fault =>
  new Fault({
    code: 'TOKENS_UNREADABLE',
    retry: 'never',
    message: `the token file ${path} cannot be read: ${cause instanceof Error ? cause.message.slice(0, 300) : String(cause)}; write it with fleetlog token add`,
    cause,
  });

interface Reading {
  /** Changes when the file does. */
  readonly mark: string;
  readonly byDigest: ReadonlyMap<string, ApiToken>;
}
const NONE: Reading = { mark: 'absent', byDigest: new Map() };

/** The file as it is, or the reading before where it is the same. */
const look = (path: string, before: Reading | undefined): Reading => {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    const mark = `${mtimeMs} ${size} ${ino}`;
    if (mark === before?.mark) return before;
    const { tokens } = tokenFileSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
    return { mark, byDigest: new Map(tokens.map((token) => [token.sha256, token])) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NONE;
    throw unreadable(path, error);
  }
};

/** Opens the file. Fault: `TOKENS_UNREADABLE` (never). `onTrouble` hears once of each time that it cannot be read any more. */
export const openTokenBook = (
  path: string,
  { clock, onTrouble }: { readonly clock: Clock; readonly onTrouble: (fault: Fault) => void },
): TokenBook => {
  let reading = look(path, undefined);
  let lookedAtMs = clock.monotonicMs();
  let isTroubled = false;
  const lookAgain = (): void => {
    try {
      reading = look(path, reading);
      isTroubled = false;
    } catch (error) {
      if (!isTroubled) onTrouble(error as Fault);
      isTroubled = true;
    } finally {
      lookedAtMs = clock.monotonicMs();
    }
  };
  return {
    find: (token) => {
      if (clock.monotonicMs() - lookedAtMs >= LOOK_MS) lookAgain();
      return reading.byDigest.get(digest(token));
    },
  };
};
