// Finds secrets by the shape of the value: tokens with a known prefix, JWTs, PEM blocks, bearer headers, URL userinfo.
// Linear: one pass over literal anchors, and what is looked at after an anchor is bounded, consumed, or remembered as no match.
import { classes, isMarkerAt, isOf, runEnd, type Rule, type Span } from './span.ts';

/** A token that is a prefix and a run of characters of at least `min`. */
interface PrefixRule {
  readonly rule: Rule;
  readonly prefix: string;
  readonly characters: Uint8Array;
  readonly min: number;
  /** Words with hyphens have this shape too; a token has digits. */
  readonly digits?: boolean;
}

const { alnum, base64url, upper, word } = classes;

const prefixRules: readonly PrefixRule[] = [
  ...['AKIA', 'ASIA', 'ABIA', 'ACCA'].map((prefix): PrefixRule => ({
    rule: 'aws',
    prefix,
    characters: upper,
    min: 16,
  })),
  ...['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'].map((prefix): PrefixRule => ({
    rule: 'github',
    prefix,
    characters: alnum,
    min: 20,
  })),
  { rule: 'github', prefix: 'github_pat_', characters: word, min: 20 },
  { rule: 'anthropic', prefix: 'sk-ant-', characters: base64url, min: 16 },
  { rule: 'openai', prefix: 'sk-', characters: base64url, min: 20, digits: true },
  ...['xoxa-', 'xoxb-', 'xoxe-', 'xoxp-', 'xoxr-', 'xoxs-', 'xapp-'].map((prefix): PrefixRule => ({
    rule: 'slack',
    prefix,
    characters: base64url,
    min: 10,
    digits: true,
  })),
  { rule: 'slack', prefix: 'hooks.slack.com/services/', characters: classes.token68, min: 16 },
  { rule: 'npm', prefix: 'npm_', characters: alnum, min: 36 },
  { rule: 'google', prefix: 'AIza', characters: base64url, min: 35 },
  { rule: 'gitlab', prefix: 'glpat-', characters: base64url, min: 20 },
  { rule: 'stripe', prefix: 'sk_live_', characters: alnum, min: 16 },
  { rule: 'stripe', prefix: 'rk_live_', characters: alnum, min: 16 },
  { rule: 'huggingface', prefix: 'hf_', characters: alnum, min: 30 },
];

/** Where a secret by shape may begin, as the source of a regex: literal anchors, each with a bounded look at what follows. */
export const shapeAnchors = [
  'A(?:KIA|SIA|BIA|CCA|Iza)',
  'gh[pousr]_',
  'github_pat_',
  'sk-',
  'xox[abeprs]-',
  'xapp-',
  'npm_',
  'glpat-',
  '[sr]k_live_',
  'hf_',
  'hooks\\.slack\\.com\\/services\\/',
  'eyJ',
  '-----BEGIN ',
  '[Bb]earer ',
  'BEARER ',
  // Most URLs have no user.
  ':\\/\\/(?=[^/?#\\s"\'`<>\\\\@]{1,1024}@)',
  'S[UAOCNX][A-Z2-7]{56}',
].join('|');

/** What earlier looks in the same text have learnt, so that nothing is scanned twice in vain. */
interface Memory {
  /** No JWT starts before this place. */
  noJwtBefore: number;
  /** The first `-----END` after the last PEM block looked at; -1: none, undefined: not looked for yet. */
  pemEnd: number | undefined;
}

/** The rules that an anchor may begin. */
const rulesOf = new Map<string, readonly PrefixRule[]>(
  prefixRules.map(({ prefix }) => {
    const anchor = prefix === 'sk-ant-' ? 'sk-' : prefix;
    return [anchor, prefixRules.filter((rule) => rule.prefix.startsWith(anchor))];
  }),
);

/** Anchors that mean a token even when they are glued to a word. */
const unmistakable = new Set(
  ['github', 'anthropic', 'slack', 'npm', 'gitlab', 'stripe'].flatMap((rule) =>
    prefixRules
      .filter((candidate) => candidate.rule === rule)
      .map(({ prefix }) => (prefix === 'sk-ant-' ? 'sk-' : prefix)),
  ),
);

/** Whether the first characters of a run have a digit among them; looks no further, so that it may fail often. */
const hasDigit = (text: string, start: number, characters: Uint8Array): boolean => {
  for (let at = start; at < start + 64 && isOf(text, at, characters); at += 1) {
    const code = text.charCodeAt(at);
    if (code >= 48 && code <= 57) return true;
  }
  return false;
};

const findPrefixed = (text: string, at: number, anchor: string): Span | undefined => {
  for (const { rule, prefix, characters, min, digits } of rulesOf.get(anchor) ?? []) {
    if (!text.startsWith(prefix, at)) continue;
    const start = at + prefix.length;
    if (digits === true && !hasDigit(text, start, characters)) continue;
    const end = runEnd(text, start, characters);
    if (end - start >= min) return { start: at, end, rule };
  }
  return undefined;
};

const findJwt = (text: string, at: number, memory: Memory): Span | undefined => {
  if (at < memory.noJwtBefore) return undefined;
  const header = runEnd(text, at, base64url);
  const payload = text[header] === '.' ? runEnd(text, header + 1, base64url) : header;
  const signature =
    text[payload] === '.' && payload > header ? runEnd(text, payload + 1, base64url) : payload;
  if (header - at >= 10 && payload - header > 8 && signature - payload > 8) {
    return { start: at, end: signature, rule: 'jwt' };
  }
  memory.noJwtBefore = header;
  return undefined;
};

const pemSecret = /-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}(?:PRIVATE KEY|SEED|JWT)(?: BLOCK)?-{3,5}/y;

const nextPemEnd = (text: string, from: number, memory: Memory): number => {
  if (memory.pemEnd === undefined || (memory.pemEnd !== -1 && memory.pemEnd < from)) {
    memory.pemEnd = text.indexOf('-----END', from);
  }
  return memory.pemEnd;
};

const findPem = (text: string, at: number, memory: Memory): Span | undefined => {
  pemSecret.lastIndex = at;
  if (!pemSecret.test(text)) return undefined;
  const body = pemSecret.lastIndex;
  const closing = nextPemEnd(text, body, memory);
  if (closing !== -1 && closing - body <= 32_768) {
    const tail = /^-----END [A-Z0-9 ]{1,80}-{3,5}/.exec(text.slice(closing, closing + 100));
    return { start: at, end: closing + (tail?.[0].length ?? 0), rule: 'pem' };
  }
  // Cut off: whatever still looks like its body.
  if (!/[\r\n\\]/.test(text.charAt(body))) return undefined;
  const end = runEnd(text, body, classes.pemBody);
  return end - body >= 16 ? { start: at, end, rule: 'pem' } : undefined;
};

const findBearer = (text: string, at: number): Span | undefined => {
  const start = at + 'bearer '.length;
  const end = runEnd(text, start, classes.token68);
  const length = end - start;
  if (length < 8 || (length < 24 && !hasDigit(text, start, classes.token68))) return undefined;
  return { start, end, rule: 'bearer' };
};

const authorityEnd = /[/?#\s"'`<>\\]/g;

const findUserinfo = (text: string, at: number): Span | undefined => {
  const start = at + 3;
  authorityEnd.lastIndex = start;
  const end = authorityEnd.exec(text)?.index ?? text.length;
  const authority = text.slice(start, end);
  const sign = authority.lastIndexOf('@');
  if (sign < 1 || isMarkerAt(text, start)) return undefined;
  const colon = authority.indexOf(':');
  const hasPassword = colon !== -1 && colon < sign - 1;
  // A lone user in a web address is nearly always a token; `ssh://git@host` is not.
  const isWeb = /https?$/i.test(text.slice(Math.max(0, at - 5), at));
  return hasPassword || isWeb ? { start, end: start + sign, rule: 'userinfo' } : undefined;
};

const findNatsSeed = (text: string, at: number): Span | undefined => {
  const end = runEnd(text, at, upper);
  return end - at === 58 ? { start: at, end, rule: 'nats' } : undefined;
};

const findAt = (text: string, at: number, anchor: string, memory: Memory): Span | undefined => {
  if (anchor === '://') return findUserinfo(text, at);
  if (anchor === '-----BEGIN ') return findPem(text, at, memory);
  // Within a longer word these are no tokens ("task-…" is not "sk-…"); the other prefixes are unmistakable.
  const isGlued = at > 0 && isOf(text, at - 1, alnum);
  if (isGlued && (!unmistakable.has(anchor) || (anchor === 'sk-' && !text.startsWith('sk-ant-', at)))) {
    return undefined;
  }
  if (anchor === 'eyJ') return findJwt(text, at, memory);
  if (anchor.length === 7 && anchor.endsWith(' ')) return findBearer(text, at);
  if (anchor.length === 58) return findNatsSeed(text, at);
  return findPrefixed(text, at, anchor);
};

/** Adds the secrets found by shape, in order of their start. */
export const findShapes = (text: string, found: Span[]): void => {
  const anchors = new RegExp(shapeAnchors, 'g');
  const memory: Memory = { noJwtBefore: 0, pemEnd: undefined };
  for (let match = anchors.exec(text); match !== null; match = anchors.exec(text)) {
    const span = findAt(text, match.index, match[0], memory);
    if (span === undefined) continue;
    found.push(span);
    anchors.lastIndex = Math.max(span.end, anchors.lastIndex);
  }
};
