// Whether bytes are JSON, without making anything of them: a page that looks at fifty values for the first time would otherwise make their texts and objects
// only to throw them away, and that garbage is collected in the middle of other pages. Says yes only to what is plainly JSON; what is rare (`\u`
// escapes, exponents, deep nesting) is left to the engine's parser, so a no means: ask that.

const QUOTE = 34;
const COMMA = 44;
const MINUS = 45;
const DOT = 46;
const ZERO = 48;
const NINE = 57;
const COLON = 58;
const OPEN_LIST = 91;
const BACKSLASH = 92;
const CLOSE_LIST = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const SPACE = 32;

const MOST_DEPTH = 32;
/** What is no value. */
const NOWHERE = -1;

/** What may follow a backslash, but for `u`. */
const ESCAPED = new Set(Buffer.from('"\\/bfnrt'));
const WORDS = ['true', 'false', 'null'].map((word) => Buffer.from(word));

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= ZERO && byte <= NINE;

/** Where a text ends that begins here. */
const endOfText = (bytes: Uint8Array, from: number, end: number): number => {
  let at = from + 1;
  while (at < end) {
    const byte = bytes[at++] ?? 0;
    if (byte === QUOTE) return at;
    if (byte < SPACE) return NOWHERE;
    if (byte === BACKSLASH && !ESCAPED.has(bytes[at++] ?? 0)) return NOWHERE;
  }
  return NOWHERE;
};

const afterDigits = (bytes: Uint8Array, from: number): number => {
  let at = from;
  while (isDigit(bytes[at])) at += 1;
  return at;
};

const endOfNumber = (bytes: Uint8Array, from: number): number => {
  const first = bytes[from] === MINUS ? from + 1 : from;
  const whole = afterDigits(bytes, first);
  if (whole === first || (bytes[first] === ZERO && whole > first + 1)) return NOWHERE;
  if (bytes[whole] !== DOT) return whole;
  const fraction = afterDigits(bytes, whole + 1);
  return fraction === whole + 1 ? NOWHERE : fraction;
};

const endOfWord = (bytes: Uint8Array, from: number): number => {
  const word = WORDS.find(([first]) => first === bytes[from]);
  if (word === undefined) return NOWHERE;
  for (let at = 1; at < word.length; at += 1) if (bytes[from + at] !== word[at]) return NOWHERE;
  return from + word.length;
};

/** Of the last list or object that was looked through: the values in it. */
let counted = 0;

/** Where a list or an object ends that begins here. */
const endOfMany = (bytes: Uint8Array, from: number, end: number, depth: number): number => {
  const isObject = bytes[from] === OPEN_OBJECT;
  const close = isObject ? CLOSE_OBJECT : CLOSE_LIST;
  let at = from + 1;
  let count = 0;
  counted = 0;
  if (bytes[at] === close) return at + 1;
  for (;;) {
    if (isObject) {
      if (bytes[at] !== QUOTE) return NOWHERE;
      at = endOfText(bytes, at, end);
      if (at === NOWHERE || bytes[at] !== COLON) return NOWHERE;
      at += 1;
    }
    at = endOfValue(bytes, at, end, depth);
    if (at === NOWHERE || at >= end) return NOWHERE;
    count += 1;
    counted = count;
    const byte = bytes[at++];
    if (byte === close) return at;
    if (byte !== COMMA) return NOWHERE;
  }
};

const endOfValue = (bytes: Uint8Array, from: number, end: number, depth: number): number => {
  const first = bytes[from];
  if (first === QUOTE) return endOfText(bytes, from, end);
  if (first === MINUS || isDigit(first)) return endOfNumber(bytes, from);
  if (first !== OPEN_LIST && first !== OPEN_OBJECT) return endOfWord(bytes, from);
  return depth === MOST_DEPTH ? NOWHERE : endOfMany(bytes, from, end, depth + 1);
};

/** Whether what stands between two places is plainly a list in JSON, without spaces, of so many values. */
export const isPlainList = (bytes: Uint8Array, from: number, end: number, count: number): boolean =>
  bytes[from] === OPEN_LIST && endOfMany(bytes, from, end, 1) === end && counted === count;
