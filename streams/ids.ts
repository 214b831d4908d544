// Ids and names as they appear on the wire: prefixed ULIDs for things the system makes, chosen names for what people name.
import { z } from 'zod';

const ULID = '[0-7][0-9A-HJKMNP-TV-Z]{25}';

/** The prefix of each kind of id. */
export const ID_PREFIX = {
  run: 'run',
  command: 'cmd',
  session: 'ses',
  turn: 'trn',
  event: 'evt',
  message: 'msg',
  batch: 'bat',
  approval: 'apr',
  task: 'tsk',
  spawn: 'spw',
} as const;

export type IdKind = keyof typeof ID_PREFIX;

const idSchema = (kind: IdKind) =>
  z.string().regex(new RegExp(`^${ID_PREFIX[kind]}_${ULID}$`), `expected ${ID_PREFIX[kind]}_ and a ULID`);

export const runIdSchema = idSchema('run');
export const commandIdSchema = idSchema('command');
export const sessionIdSchema = idSchema('session');
export const turnIdSchema = idSchema('turn');
export const messageIdSchema = idSchema('message');
/** Messages that a runner puts into one turn. */
export const batchIdSchema = idSchema('batch');
export const approvalIdSchema = idSchema('approval');
export const taskIdSchema = idSchema('task');
/** One start of an agent's runner on a host. */
export const spawnIdSchema = idSchema('spawn');

/** A name of a person's choosing: one lower-case subject token, 1 to 64 characters. */
export const nameSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'expected 1 to 64 of a-z 0-9 _ - and a letter or digit first');

/** A prefixed id from a ULID made by the caller's `Ids`. */
export const makeId = (kind: IdKind, ulid: string): string => `${ID_PREFIX[kind]}_${ulid}`;

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** When an id was made by a clock, epoch ms; of one made from a digest: any time. */
export const idTimeMs = (id: string): number => {
  let timeMs = 0;
  const at = id.indexOf('_') + 1;
  for (const letter of id.slice(at, at + 10)) timeMs = timeMs * 32 + CROCKFORD.indexOf(letter);
  return timeMs;
};

/**
 * A prefixed id made from a digest instead of time: the same digest gives the same id, so that a repeated request finds
 * what the first one made. `digest` needs at least 16 bytes; the first 16 are used.
 */
export const idFromDigest = (kind: IdKind, digest: Uint8Array): string => {
  // The digest as one number in letters of five bits, the last first: every run has several such ids, and big integers cost seven times as much.
  let text = '';
  let bits = 0;
  let count = 0;
  for (let at = 15; at >= 0; at -= 1) {
    bits |= (digest[at] ?? 0) << count;
    for (count += 8; count >= 5; count -= 5) {
      text = CROCKFORD.charAt(bits & 31) + text;
      bits >>= 5;
    }
  }
  return makeId(kind, CROCKFORD.charAt(bits) + text);
};
