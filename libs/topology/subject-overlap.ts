// Whether two subject filters can match the same subject: the broker lets no two streams take one.

/** True when some literal subject matches both filters (`*` one token, `>` one or more at the end). */
export const overlaps = (a: string, b: string): boolean => {
  const left = a.split('.');
  const right = b.split('.');
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    if (left[i] === '>' || right[i] === '>') return true;
    if (left[i] !== right[i] && left[i] !== '*' && right[i] !== '*') return false;
  }
  return left.length === right.length;
};
