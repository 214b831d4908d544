// Subjects and their filters: dots separate tokens, `*` stands for one token, a final `>` for one or more.
// Pure; what may be appended and what a filter selects is decided here and nowhere else in memory.

const ANY = '*'.charCodeAt(0);
const REST = '>'.charCodeAt(0);

const DOT = '.'.charCodeAt(0);

/** Walks a filter once. `isLiteral`: without wildcard tokens; undefined: it is none. */
const lookAt = (filter: string): { readonly isLiteral: boolean } | undefined => {
  let isLiteral = true;
  let start = 0;
  for (let at = 0; at <= filter.length; at += 1) {
    const code = at === filter.length ? DOT : filter.charCodeAt(at);
    if (code <= 0x20 || code === 0x7f) return undefined;
    if (code !== DOT) continue;
    if (at === start) return undefined;
    if (at - start === 1) {
      const only = filter.charCodeAt(start);
      if (only === REST && at < filter.length) return undefined;
      if (only === ANY || only === REST) isLiteral = false;
    }
    start = at + 1;
  }
  return isLiteral ? LITERAL : WILD;
};
const LITERAL = { isLiteral: true };
const WILD = { isLiteral: false };

/** True for a filter the broker accepts: no empty token, no blanks, wildcards as whole tokens, `>` only at the end. */
export const isSubjectFilter = (filter: string): boolean => lookAt(filter) !== undefined;

/** True for a subject that can be appended to: a filter without wildcard tokens. */
export const isLiteralSubject = (subject: string): boolean => lookAt(subject)?.isLiteral === true;

/** True when `subject` is one of those that `filter` stands for. Walks both at once: it is asked for every entry and filter. */
export const matchesSubject = (filter: string, subject: string): boolean => {
  if (filter === subject || filter === '>') return true;
  let at = 0;
  for (let from = 0; from <= filter.length;) {
    const dot = filter.indexOf('.', from);
    const to = dot === -1 ? filter.length : dot;
    // No token of the subject is left.
    if (at > subject.length) return false;
    const isWildcard = to - from === 1;
    if (isWildcard && filter.charCodeAt(from) === REST) return true;
    const subjectDot = subject.indexOf('.', at);
    const end = subjectDot === -1 ? subject.length : subjectDot;
    if (!(isWildcard && filter.charCodeAt(from) === ANY)) {
      if (end - at !== to - from || !subject.startsWith(filter.slice(from, to), at)) return false;
    }
    from = to + 1;
    at = end + 1;
  }
  return at > subject.length;
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
