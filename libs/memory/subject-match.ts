// Subjects and their filters: dots separate tokens, `*` stands for one token, a final `>` for one or more.
// Pure; what may be appended and what a filter selects is decided here and nowhere else in memory.

const hasBadCharacter = (subject: string): boolean => {
  for (let at = 0; at < subject.length; at += 1) {
    const code = subject.charCodeAt(at);
    if (code <= 0x20 || code === 0x7f) return true;
  }
  return false;
};

/** True for a filter the broker accepts: no empty token, no blanks, wildcards as whole tokens, `>` only at the end. */
export const isSubjectFilter = (filter: string): boolean => {
  if (filter === '' || hasBadCharacter(filter)) return false;
  const tokens = filter.split('.');
  return tokens.every((token, at) => token !== '' && (token !== '>' || at === tokens.length - 1));
};

/** True for a subject that can be appended to: a filter without wildcard tokens. */
export const isLiteralSubject = (subject: string): boolean =>
  isSubjectFilter(subject) && !subject.split('.').some((token) => token === '*' || token === '>');

/** True when `subject` is one of those that `filter` stands for. */
export const matchesSubject = (filter: string, subject: string): boolean => {
  if (filter === subject || filter === '>') return true;
  const pattern = filter.split('.');
  const tokens = subject.split('.');
  for (const [at, want] of pattern.entries()) {
    if (want === '>') return tokens.length > at;
    const token = tokens[at];
    if (token === undefined || (want !== '*' && want !== token)) return false;
  }
  return pattern.length === tokens.length;
};

/** True when every subject of `narrow` is also one of `wide`. */
export const isSubsetFilter = (narrow: string, wide: string): boolean => {
  const inner = narrow.split('.');
  const outer = wide.split('.');
  for (const [at, want] of outer.entries()) {
    const have = inner[at];
    if (want === '>') return have !== undefined;
    if (have === undefined || have === '>') return false;
    if (want !== '*' && want !== have) return false;
  }
  return outer.length === inner.length;
};

/** A test for several filters at once that remembers its answer for each subject. No filters: everything matches. */
export const createSubjectMatcher = (
  filters: readonly string[] | undefined,
): ((subject: string) => boolean) => {
  if (filters === undefined || filters.length === 0) return () => true;
  const known = new Map<string, boolean>();
  return (subject) => {
    let answer = known.get(subject);
    if (answer === undefined) {
      answer = filters.some((filter) => matchesSubject(filter, subject));
      known.set(subject, answer);
    }
    return answer;
  };
};
