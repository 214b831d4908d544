// Subject filters with `*` and `>`: does a subject match, and what do two filters have in common. Pure.

/** True when the literal subject matches the filter. */
export const matchesFilter = (filter: string, subject: string): boolean => {
  const wanted = filter.split('.');
  const tokens = subject.split('.');
  for (const [at, token] of wanted.entries()) {
    if (token === '>') return at < tokens.length;
    if (at >= tokens.length || (token !== '*' && token !== tokens[at])) return false;
  }
  return wanted.length === tokens.length;
};

/** The filter for exactly what both match; undefined when nothing does. */
export const intersectFilters = (a: string, b: string): string | undefined => {
  const left = a.split('.');
  const right = b.split('.');
  const common: string[] = [];
  for (let at = 0; at < Math.max(left.length, right.length); at += 1) {
    const one = left[at];
    const other = right[at];
    // `>` takes one token or more: the other filter decides the rest.
    if (one === '>') return other === undefined ? undefined : [...common, ...right.slice(at)].join('.');
    if (other === '>') return one === undefined ? undefined : [...common, ...left.slice(at)].join('.');
    if (one === undefined || other === undefined) return undefined;
    if (one !== '*' && other !== '*' && one !== other) return undefined;
    common.push(one === '*' ? other : one);
  }
  return common.join('.');
};

/** True for a filter of subject tokens, `*`, and `>` at the end only. */
export const isFilter = (text: string): boolean =>
  /^(?:(?:[A-Za-z0-9_-]+|\*)\.)*(?:[A-Za-z0-9_-]+|\*|>)$/.test(text);
