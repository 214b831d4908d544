// Which calls of an agent need a person: rules like `Bash`, `mcp__*` or `Bash(*publish*)`, from the runner's settings. Pure. A rule with
// brackets looks at the texts of the input, which an agent can word otherwise: where it matters, name the whole tool.

/** What a rule looks like: a tool, with `*` for anything, and in brackets what a text of its input has to look like. */
export const RULE = /^[^()\s]+(\(.+\))?$/;

const matches = (pattern: string, text: string): boolean => {
  // Greedy and without going back over what is matched: linear in the text for each star.
  const parts = pattern.split('*');
  const [first = '', ...rest] = parts;
  if (!text.startsWith(first)) return false;
  if (rest.length === 0) return text === first;
  const last = rest.pop() ?? '';
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
};

const textsOf = (input: unknown): readonly string[] => {
  if (typeof input === 'string') return [input];
  if (typeof input !== 'object' || input === null) return [];
  return Object.values(input).filter((value) => typeof value === 'string');
};

const appliesTo =
  (tool: string, input: unknown) =>
  (rule: string): boolean => {
    const bracket = rule.indexOf('(');
    if (bracket === -1) return matches(rule, tool);
    if (!matches(rule.slice(0, bracket), tool)) return false;
    const pattern = rule.slice(bracket + 1, -1);
    return textsOf(input).some((text) => matches(pattern, text));
  };

/** Whether a call has to be asked about. */
export const asksBefore = (
  rules: readonly string[],
  { tool, input }: { readonly tool: string; readonly input: unknown },
): boolean => rules.some(appliesTo(tool, input));
