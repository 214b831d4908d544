// Finds values given to secret names inside text: `DB_PASSWORD=…`, `"token": "…"`, `--api-key …`, `Authorization: …`, cookies.
// Code and prose speak of secrets all the time, so an unquoted value that reads like code or like a word is left alone.
// Linear: a name is looked at once, and a value that is looked at and left alone is of bounded length.
import { isSecretName } from './names.ts';
import { classes, isMarker, isMarkerAt, isOf, runEnd, type Span } from './span.ts';

/** Where a secret name may be, as the source of a case-insensitive regex. The plural `tokens` is an amount. */
const nameAnchors =
  'passw|passphrase|passcode|secret|token(?!s\\b)|(?:access|refresh|auth|api|bearer|session)[-_]?tokens|credential|creds|authorization|cookie|_pwd|_auth|(?:api|access|private|signing|encryption|auth|master|account|shared|role|deploy|ssh)[-_ ]?key';

/** Some letters of each of these names: runs three times as fast and holds back most texts. */
const nameLetters =
  /[kK][eE][nNyY]|[kK][iI][eE]|[sS][sS](?:[wW]|[pP][hH]|[cC][oO])|[eE][cC][rR][eE][tT]|[rR][eE][dD](?:[eE][nN]|[sS])|[zZ][aA][tT]|_[pP][wW]|_[aA][uU]/;

const nameAnchor = new RegExp(nameAnchors, 'i');

/** Whether a text can have a secret name in it. */
export const mayNameSecret = (text: string): boolean => nameLetters.test(text) && nameAnchor.test(text);

/** Longest name considered; the rest of a longer one is ignored. */
const longestName = 128;
/** A longer unquoted value is a secret whatever it looks like. */
const longestWord = 64;
const longestQuoted = 16_384;

/** Words that stand for a value in code and configuration. */
const placeholders = new Set(
  'true false null nil none undefined string number boolean bool str bytes text any unknown object void never int required optional await async new function return import require yes no on off auto default redacted hidden masked changeme'.split(
    ' ',
  ),
);

interface Value {
  readonly start: number;
  readonly end: number;
}

const isBlank = (text: string, at: number): boolean => text[at] === ' ' || text[at] === '\t';

const skipBlanks = (text: string, from: number): number => {
  let at = from;
  while (at < from + 16 && isBlank(text, at)) at += 1;
  return at;
};

/** The place after a quote (with the backslashes of an escaping level before it), or `at` itself when there is none. */
const skipQuote = (text: string, at: number): number => {
  let quote = at;
  while (quote < at + 8 && text[quote] === '\\') quote += 1;
  return text[quote] === '"' || text[quote] === "'" || text[quote] === '`' ? quote + 1 : at;
};

type Separator = 'tight' | 'loose' | 'flag' | 'arrow';

/** What stands between a name that ends at `nameEnd` and its value, and where the value begins. */
const separatorAfter = (
  text: string,
  nameStart: number,
  nameEnd: number,
): { readonly kind: Separator; readonly valueAt: number } | undefined => {
  const unquoted = skipQuote(text, nameEnd);
  const sign = skipBlanks(text, unquoted);
  const two = text.slice(sign, sign + 2);
  if (two === '==') return undefined;
  if (two === '=>' || two === ':=') {
    return { kind: two === '=>' ? 'arrow' : 'loose', valueAt: skipBlanks(text, sign + 2) };
  }
  if (text[sign] === '=' || text[sign] === ':') {
    const valueAt = skipBlanks(text, sign + 1);
    const isTight = text[sign] === '=' && sign === unquoted && valueAt === sign + 1;
    return { kind: isTight ? 'tight' : 'loose', valueAt };
  }
  const isFlag = text[nameStart] === '-' && unquoted === nameEnd && sign > nameEnd;
  return isFlag ? { kind: 'flag', valueAt: sign } : undefined;
};

/** The inside of the quotes that begin at `at`; undefined when there are none, or they do not close on their line. */
const quotedValue = (text: string, at: number): Value | undefined => {
  const start = skipQuote(text, at);
  if (start === at) return undefined;
  const quote = text[start - 1] ?? '';
  const level = start - at - 1;
  for (let from = start, limit = start + longestQuoted; from < limit; from += 1) {
    const character = text[from];
    if (character === undefined || character === '\n') return undefined;
    if (character !== quote) continue;
    let escapes = 0;
    while (escapes <= level && text[from - 1 - escapes] === '\\') escapes += 1;
    if (escapes <= level) return { start, end: Math.max(start, from - escapes) };
  }
  return undefined;
};

const looseEnd = /[\s"'`;&|<>(){}\\,\]]/g;
const tightEnd = /[\s"'`;&|<>(){}\\]/g;
const lineEnd = /["'\r\n\\]/g;

/** Where the first of the characters is that a global regex looks for, from `from` on. */
const endBefore = (text: string, from: number, stop: RegExp): number => {
  stop.lastIndex = from;
  return stop.exec(text)?.index ?? text.length;
};

const isWordOfCode = (text: string, value: Value, name: string): boolean => {
  const word = text.slice(value.start, value.end);
  return (
    placeholders.has(word.toLowerCase()) ||
    word.toLowerCase() === name.toLowerCase() ||
    text[value.end] === '(' ||
    /^\*+$|^x+$/i.test(word) ||
    /^[A-Za-z_$]{1,64}(?:\??\.[A-Za-z_$]{1,64}){1,8}$/.test(word)
  );
};

/** `password: correcthorse` with nothing after it on the line is a setting and not a sentence. */
const isLonePassword = (text: string, value: Value, name: string): boolean =>
  value.end - value.start >= 6 &&
  /(?:passw(?:or)?d|passphrase|pwd|secret)$/i.test(name) &&
  /^[ \t,;]{0,8}(?:[\r\n]|$)/.test(text.slice(value.end, value.end + 10));

const unquotedValue = (text: string, start: number, kind: Separator, name: string): Value | undefined => {
  if (kind === 'arrow' || /[$<{%[(]/.test(text.charAt(start))) return undefined;
  const value = { start, end: endBefore(text, start, kind === 'loose' ? looseEnd : tightEnd) };
  const length = value.end - start;
  if (length === 0) return undefined;
  if (length > longestWord) return value;
  if (isWordOfCode(text, value, name)) return undefined;
  const isProse = kind === 'loose' && length < 20 && !/\d/.test(text.slice(start, value.end));
  return isProse && !isLonePassword(text, value, name) ? undefined : value;
};

const scheme = /(?:basic|bearer|digest|token|negotiate|apikey|aws4-hmac-sha256) +[^\s$<{%]/iy;

/** The rest of the line, for headers whose value has blanks in it. */
const headerValue = (text: string, start: number, name: string): Value | undefined => {
  const isCookie = /(?:^|[-_.])cookie$/i.test(name);
  if (!isCookie && !/(?:^|[-_.])authorization$/i.test(name)) return undefined;
  scheme.lastIndex = start;
  if (isCookie ? !/^[^\s=;"']{1,256}=/.test(text.slice(start, start + 257)) : !scheme.test(text))
    return undefined;
  return { start, end: endBefore(text, start, lineEnd) };
};

const findValue = (text: string, nameStart: number, nameEnd: number): Value | undefined => {
  const name = text.slice(Math.max(nameStart, nameEnd - longestName), nameEnd);
  if (!isSecretName(name)) return undefined;
  const separator = separatorAfter(text, nameStart, nameEnd);
  if (separator === undefined || isMarkerAt(text, separator.valueAt)) return undefined;
  const { kind, valueAt } = separator;
  const quoted = quotedValue(text, valueAt);
  if (quoted === undefined) {
    const from = skipQuote(text, valueAt);
    const bare = name.replace(/^-+/, '');
    // A quote that does not close was cut off: what follows it is no prose.
    const open = from > valueAt && kind === 'loose' ? 'tight' : kind;
    return (
      (open === 'loose' ? headerValue(text, from, bare) : undefined) ?? unquotedValue(text, from, open, bare)
    );
  }
  const inside = text.slice(quoted.start, quoted.end);
  const isOpen = inside === '' || isMarker(inside) || placeholders.has(inside.toLowerCase());
  return isOpen || /^(?:\$\{?[A-Za-z_]|<|\{\{)/.test(inside) ? undefined : quoted;
};

/** Adds the values of secret names, in order of their start. */
export const findAssignments = (text: string, found: Span[]): void => {
  const anchors = new RegExp(nameAnchors, 'gi');
  let floor = 0;
  for (let match = anchors.exec(text); match !== null; match = anchors.exec(text)) {
    let nameStart = match.index;
    while (nameStart > floor && isOf(text, nameStart - 1, classes.identifier)) nameStart -= 1;
    const nameEnd = runEnd(text, match.index + match[0].length, classes.identifier);
    const value = findValue(text, nameStart, nameEnd);
    if (value !== undefined) found.push({ ...value, rule: 'assignment' });
    floor = value?.end ?? nameEnd;
    anchors.lastIndex = floor;
  }
};
