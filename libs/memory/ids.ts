// Identity and chance that can be repeated: the same seed and the same clock give the same ids.
// ULIDs are valid and strictly increasing, also when the wall clock stands still or jumps back. Not unguessable.
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { createRandom } from './prng.ts';

/** {@link Ids} from a seed. */
export interface SeededIds extends Ids {
  readonly seed: number;
  /** Ids of another process of the same simulation: unrelated to these, and the same again for the same label. */
  fork(label: string): SeededIds;
}

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const RANDOM_CHARS = 16;

const encodeTime = (ms: number): string => {
  let text = '';
  for (let rest = ms, at = 0; at < 10; at += 1, rest = Math.floor(rest / 32))
    text = ALPHABET.charAt(rest % 32) + text;
  return text;
};

/** Adds one to a number in base 32; true when it ran over. */
const increment = (digits: number[]): boolean => {
  for (let at = digits.length - 1; at >= 0; at -= 1) {
    const next = (digits[at] ?? 0) + 1;
    digits[at] = next % 32;
    if (next < 32) return false;
  }
  return true;
};

const create = (seed: number, label: string, clock: Clock): SeededIds => {
  const random = createRandom(seed, `${label}/random`);
  const draw = createRandom(seed, `${label}/ulid`);
  let lastMs = -1;
  let digits: number[] = [];
  const redraw = (): void => {
    digits = Array.from({ length: RANDOM_CHARS }, () => Math.floor(draw() * 32));
  };
  return {
    seed,
    random,
    ulid: () => {
      const nowMs = Math.floor(clock.now());
      if (nowMs > lastMs) {
        lastMs = nowMs;
        redraw();
      } else if (increment(digits)) {
        lastMs += 1;
        redraw();
      }
      return encodeTime(lastMs) + digits.map((digit) => ALPHABET.charAt(digit)).join('');
    },
    fork: (name) => create(seed, `${label}/${name}`, clock),
  };
};

/** Ids that follow from `seed`; their time part is that of `clock`. */
export const createSeededIds = (seed: number, clock: Clock): SeededIds => create(seed, '', clock);
