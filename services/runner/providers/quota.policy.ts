// Whether a program failed because a quota is used up, and when it may be asked again: from what the program said of it, or from its words.
// Pure. Programs say it in prose only, except for Claude Code: what is not recognised stays an ordinary failure.
import type { ProviderName } from '#streams/run.ts';
import type { TurnResult } from '#streams/turn-result.ts';
import type { TurnFacts } from './turn-facts.ts';

/** How long one waits who is not told. */
const USUAL_WAIT_MS = 120_000;
/** Clocks differ, and a program that says the past must not be asked for ever. */
const LEAST_WAIT_MS = 10_000;
/** Nobody waits longer for a word that may have been misread. */
const MOST_WAIT_MS = 8 * 24 * 3_600_000;

const SIGNS = [
  /usage limit/i,
  /rate[ _-]?limit/i,
  /too many requests/i,
  /quota (?:exceeded|exhausted|reached|used up)/i,
  /(?:exceeded|exhausted|reached|hit|over) (?:your|the|its) (?:[\w-]+ ){0,3}(?:quota|limit)/i,
  /resource[ _-]?exhausted/i,
  /\b(?:HTTP|status|error|code)\W{0,3}429\b/i,
];

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 24 * 3_600_000,
};

/** `usage limit reached|1760000000`: seconds of the epoch behind a bar. */
const EPOCH = /\|\s*(\d{10})\b/;
/** `try again in 2 days 3 hours 4 minutes`, `retry after 30s`. */
const IN =
  /(?:try again|retry|available again|resets?)\s+(?:in|after)\s+((?:\d+(?:\.\d+)?\s*[a-z]+[\s,]*(?:and\s+)?)+)/i;
const PART =
  /(\d+(?:\.\d+)?)\s*(milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)\b/gi;

const lengthOf = (text: string): number => {
  let lengthMs = 0;
  for (const [, count = '', unit = ''] of text.matchAll(PART))
    lengthMs +=
      Number(count) * (/^m(?:illi|s$)/i.test(unit) ? 1 : (UNIT_MS[unit[0]?.toLowerCase() ?? ''] ?? 0));
  return lengthMs;
};

/** When the words say that it may be asked again, epoch ms; undefined: they do not. */
const saidTime = (message: string, now: number): number | undefined => {
  const epoch = EPOCH.exec(message)?.[1];
  if (epoch !== undefined) return Number(epoch) * 1000;
  const lengthMs = lengthOf(IN.exec(message)?.[1] ?? '');
  return lengthMs > 0 ? now + lengthMs : undefined;
};

/**
 * The result, with a used-up quota called one. By its words alone only where the program itself said that it failed, and is one of those
 * that ask a model: what any other program prints is about its work.
 */
export const withQuota = (
  result: TurnResult,
  { closing, quota }: Pick<TurnFacts, 'closing' | 'quota'>,
  { provider, now }: { readonly provider: ProviderName; readonly now: number },
): TurnResult => {
  const { failure } = result;
  if (failure?.kind !== 'provider-failed') return result;
  const { message } = failure;
  const isSaid =
    provider !== 'exec' && closing?.outcome === 'failed' && SIGNS.some((sign) => sign.test(message));
  if (quota === undefined && !isSaid) return result;
  const at = quota?.resetsAt ?? saidTime(message, now) ?? now + USUAL_WAIT_MS;
  const retryAt = Math.round(Math.min(Math.max(at, now + LEAST_WAIT_MS), now + MOST_WAIT_MS));
  return { ...result, failure: { kind: 'provider-limited', message, retryAt } };
};
