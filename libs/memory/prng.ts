// Chance that can be repeated: a small generator whose whole future follows from its seed. Not for secrets.

/** Uniform numbers in [0, 1) with 32 bits of resolution (sfc32). */
export type Random = () => number;

/** Mixes a seed and a label into 32 bits (FNV-1a), so that neighbouring seeds give unrelated sequences. */
const mix = (seed: number, label: string): number => {
  let hash = 0x811c9dc5;
  for (const char of `${seed}:${label}`) {
    hash ^= char.codePointAt(0) ?? 0;
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return hash;
};

/** A generator of its own for each pair of seed and label: what one draws does not shift another. */
export const createRandom = (seed: number, label = ''): Random => {
  let a = mix(seed, `${label}/a`);
  let b = mix(seed, `${label}/b`);
  let c = mix(seed, `${label}/c`);
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) >>> 0) + counter) >>> 0;
    counter = (counter + 1) >>> 0;
    a = (b ^ (b >>> 9)) >>> 0;
    b = (c + ((c << 3) >>> 0)) >>> 0;
    c = (((c << 21) | (c >>> 11)) >>> 0) + sum;
    c >>>= 0;
    return sum;
  };
  for (let warmUp = 0; warmUp < 12; warmUp += 1) next();
  return () => next() / 0x1_0000_0000;
};
