// What a subject filter stands for.

/** True when every subject that `inner` (a subject or a filter) stands for is one of `filter` (`*` one token, `>` one or more at the end). */
export const isWithin = (inner: string, filter: string): boolean => {
  if (inner === filter) return true;
  const wanted = filter.split('.');
  const given = inner.split('.');
  for (const [at, want] of wanted.entries()) {
    const token = given[at];
    if (want === '>') return token !== undefined;
    if (token === undefined || token === '>') return false;
    if (want !== '*' && want !== token) return false;
  }
  return wanted.length === given.length;
};

const PATTERN_OF = new Map([
  ['*', '[^.]+'],
  ['>', '.+'],
]);
const escaped = (token: string): string => token.replaceAll(/[^\w-]/g, String.raw`\$&`);

/** A pattern of the subjects that any of these filters stands for; for who asks often: it takes nothing apart. */
export const subjectPattern = (filters: readonly string[]): RegExp => {
  const patterns = filters.map((filter) =>
    filter
      .split('.')
      .map((token) => PATTERN_OF.get(token) ?? escaped(token))
      .join(String.raw`\.`),
  );
  return new RegExp(`^(?:${patterns.join('|')})$`);
};
