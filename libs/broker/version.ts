// Versions of nats-server: which are new enough, and which one we fetch. Pure.

/** Atomic batches with ids, schedules with cron, per-key TTL and prioritized consumers need it. */
export const MINIMUM_VERSION = '2.14.0';
/** The release that is fetched when the machine has none; everything is developed and tested on it. */
export const RELEASE_VERSION = '2.15.1';

/** `2.15.1` out of `nats-server: v2.15.1`, or undefined when `text` names no version. */
export const parseVersion = (text: string): string | undefined => /(?<![\d.])(\d+\.\d+\.\d+)/.exec(text)?.[1];

const numbers = (version: string): readonly number[] => version.split('.').map(Number);

/** Negative, zero or positive, as `a` is older, the same or newer. */
export const compareVersions = (a: string, b: string): number => {
  const [left, right] = [numbers(a), numbers(b)];
  for (let part = 0; part < 3; part += 1) {
    const difference = (left[part] ?? 0) - (right[part] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
};

export const isNewEnough = (version: string): boolean => compareVersions(version, MINIMUM_VERSION) >= 0;

/** From here on a stream has at most 1000 consumers unless the configuration says otherwise; before, it must not. */
const LIMITS_CONSUMERS = '2.15.0';
export const limitsConsumers = (version: string): boolean => compareVersions(version, LIMITS_CONSUMERS) >= 0;
