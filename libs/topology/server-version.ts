// The oldest broker this runs on, and the refusal of older ones. Pure.
import type { Difference } from './difference.ts';

/** Schedules that survive, atomic batches with ids, per-key expiry and prioritized consumers together. */
const OLDEST = { major: 2, minor: 14 };
const OLDEST_SERVER = `${OLDEST.major}.${OLDEST.minor}.0`;

/** The difference that a server before 2.14.0, or one that says no version, makes; null: new enough. */
export const oldServer = (version: string): Difference | null => {
  const [, major, minor] = /^v?(\d+)\.(\d+)\./.exec(version) ?? [];
  const isNew =
    Number(major) > OLDEST.major || (Number(major) === OLDEST.major && Number(minor) >= OLDEST.minor);
  if (isNew) return null;
  return {
    kind: 'refused',
    thing: 'server',
    what: 'nats-server',
    field: 'version',
    from: version,
    to: `${OLDEST_SERVER} or newer`,
    reason: 'it lacks what the log relies on: atomic batches with ids, schedules, expiry of single keys',
    remedy: `run nats-server ${OLDEST_SERVER} or newer`,
  };
};
