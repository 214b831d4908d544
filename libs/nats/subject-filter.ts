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

const differAt = ([first = [], ...others]: readonly (readonly string[])[]): readonly number[] =>
  first.flatMap((token, at) => (others.every((one) => one[at] === token) ? [] : [at]));

/**
 * One filter in place of several that differ in one token only, where nothing but wildcards follow it: `a.*.*` for `a.x.*` and `a.y.*`. It stands for
 * more than they do. Other filters are given back as they are.
 *
 * For reading: with several filters the broker (2.15) looks, for each message of a backlog, at every subject of the block that holds it, where
 * ids make thousands of them: 0.5 ms each, and all of a core for minutes. With one it does not. What ends with a literal has few subjects.
 */
export const joinedFilters = (filters: readonly string[]): readonly string[] => {
  const tokens = filters.map((filter) => filter.split('.'));
  const [first = []] = tokens;
  const [at, ...others] = differAt(tokens);
  if (at === undefined || others.length > 0) return filters;
  if (tokens.some((one) => one.length !== first.length)) return filters;
  const rest = first.slice(at + 1);
  if (rest.length === 0 || rest.some((token) => token !== '*' && token !== '>')) return filters;
  return [[...first.slice(0, at), '*', ...rest].join('.')];
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

/** Whether bytes begin with others, and go on or not. */
const beginsWith = (bytes: Uint8Array, begin: Uint8Array, goesOn: boolean): boolean => {
  if (goesOn ? bytes.length <= begin.length : bytes.length !== begin.length) return false;
  for (let at = 0; at < begin.length; at += 1) if (bytes[at] !== begin[at]) return false;
  return true;
};

/** The same as {@link subjectPattern} for subjects as bytes. Undefined: one of the filters has a wildcard before its end. */
export const byteTest = (filters: readonly string[]): ((subject: Uint8Array) => boolean) | undefined => {
  const parts = filters.map((filter) => {
    const goesOn = filter === '>' || filter.endsWith('.>');
    const literal = goesOn ? filter.slice(0, -1) : filter;
    return { goesOn, isLiteral: !/[*>]/.test(literal), begin: Buffer.from(literal) };
  });
  if (parts.some(({ isLiteral }) => !isLiteral)) return undefined;
  return (subject) => parts.some(({ begin, goesOn }) => beginsWith(subject, begin, goesOn));
};
