// A found secret in a text, and the text with what was found replaced. Pure.

/** Half-open range of a text that is a secret, and the rule that says so. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly rule: Rule;
}

const rules = [
  'anthropic',
  'assignment',
  'aws',
  'bearer',
  'depth',
  'github',
  'gitlab',
  'google',
  'huggingface',
  'jwt',
  'known',
  'named',
  'nats',
  'npm',
  'openai',
  'pem',
  'slack',
  'stripe',
  'userinfo',
] as const;

/** What a secret was recognised by; none of the words is itself taken for a secret. */
export type Rule = (typeof rules)[number];

const markerStart = '[redacted:';

/** What stands in the place of a secret. */
export const marker = (rule: Rule): string => `${markerStart}${rule}]`;

/** Whether a marker begins at this place. */
export const isMarkerAt = (text: string, at: number): boolean =>
  text.startsWith(markerStart, at) || text.startsWith('[redacted]', at);

/** Whether the text is one marker (or what a secret by type prints) and nothing else. */
export const isMarker = (text: string): boolean => /^\[redacted(?::[a-z]{1,16})?\]$/.test(text);

/** Whether a text occurs inside a marker, so that replacing it would never end. */
export const isPartOfMarker = (text: string): boolean =>
  text.includes(markerStart) || rules.some((rule) => marker(rule).includes(text));

/** Replaces the spans; overlapping ones count as one, under the rule of the one that starts first. `onFound` is called once a replacement. */
export const replaceSpans = (text: string, spans: readonly Span[], onFound: (rule: Rule) => void): string => {
  const ordered = [...spans].sort((a, b) => a.start - b.start || b.end - a.end);
  const parts: string[] = [];
  let at = 0;
  let index = 0;
  while (index < ordered.length) {
    const first = ordered[index];
    if (first === undefined) break;
    let { end } = first;
    for (index += 1; index < ordered.length; index += 1) {
      const next = ordered[index];
      if (next === undefined || next.start >= end) break;
      end = Math.max(end, next.end);
    }
    parts.push(text.slice(at, first.start), marker(first.rule));
    onFound(first.rule);
    at = end;
  }
  parts.push(text.slice(at));
  return parts.join('');
};

const table = (characters: RegExp): Uint8Array =>
  Uint8Array.from({ length: 128 }, (_, code) => (characters.test(String.fromCharCode(code)) ? 1 : 0));

/** Classes of ASCII characters for {@link runEnd}. */
export const classes = {
  alnum: table(/[A-Za-z0-9]/),
  upper: table(/[A-Z0-9]/),
  word: table(/[A-Za-z0-9_]/),
  base64url: table(/[A-Za-z0-9_-]/),
  token68: table(/[A-Za-z0-9._~+/=-]/),
  identifier: table(/[A-Za-z0-9_.-]/),
  pemBody: table(/[A-Za-z0-9+/=\s\\]/),
} as const;

/** Whether the character at this place is of the class. */
export const isOf = (text: string, at: number, characters: Uint8Array): boolean => {
  const code = text.charCodeAt(at);
  return code < 128 && characters[code] === 1;
};

/** The first place from `from` on whose character is not of the class. A loop, as a regex would keep one backtrack entry a character. */
export const runEnd = (text: string, from: number, characters: Uint8Array): number => {
  let at = from;
  while (at < text.length && isOf(text, at, characters)) at += 1;
  return at;
};
