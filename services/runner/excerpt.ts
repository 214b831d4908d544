// What remains in an entry of a body that is too large for it: the same JSON with its long texts cut. The schema still holds. Pure.

/** What a text is cut to, first try; halved until the whole is small enough. */
const TEXT_CHARACTERS = 16_384;
/** Well below the inline limit, in UTF-16 units: each is at most 6 bytes of JSON. */
const MOST_CHARACTERS = 40_000;

const cut = (value: unknown, limit: number): unknown => {
  if (typeof value === 'string') return value.length > limit ? `${value.slice(0, limit)}…` : value;
  if (Array.isArray(value)) return value.slice(0, limit).map((inner) => cut(inner, limit));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, cut(inner, limit)]));
};

/** The value with long texts and lists cut, so that its JSON is at most about 240 kB. Objects with endless keys become null. */
export const excerptOf = (value: unknown): unknown => {
  for (let limit = TEXT_CHARACTERS; limit >= 64; limit /= 2) {
    const smaller = cut(value, limit);
    if (JSON.stringify(smaller).length <= MOST_CHARACTERS) return smaller;
  }
  return shallow(value);
};

/** The last resort: texts and numbers of the top level only. */
const shallow = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return cut(value, 64);
  const flat = Object.entries(value)
    .slice(0, 64)
    .map(([key, inner]) => [key, typeof inner === 'object' ? null : cut(inner, 64)]);
  return Object.fromEntries(flat);
};
