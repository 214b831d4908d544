// Timers of policies in the broker: one for each policy and state, so that a late writer of another state cannot put off what is due.
// A timer says nothing but "look": what is due is decided from the record, so one that rings too early, twice or late does no harm.
import { Fault } from '#libs/kernel/fault.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import { POLICY_TIMER } from '#streams/consumers.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { isoTime } from '#streams/envelope.ts';
import { nameSchema } from '#streams/ids.ts';
import { parseSubject, timerSubject, type Boundary } from '#streams/subjects.ts';
import { z } from 'zod';
import { policyKey } from './policy-log.ts';

/** A timer that has rung. */
export interface Ring {
  readonly boundary: Boundary;
  readonly policy: string;
  /** Whose time it was: a state, or {@link PACED}. */
  readonly state: string;
  /** Names the ring: the same for everybody who is handed it. */
  readonly cause: string;
}

const bodySchema = z.object({ policy: nameSchema, dueAt: z.int().nonnegative() });

/** The ring of an entry of TIMERS. Throws `TIMER_UNREADABLE` (never). */
export const decodeRing = (entry: StoredEntry): Ring => {
  const subject = parseSubject(entry.subject);
  const body = bodySchema.safeParse(parseJson(entry.body));
  if (subject?.kind !== 'timer' || !body.success)
    throw new Fault({
      code: 'TIMER_UNREADABLE',
      retry: 'never',
      message: `${entry.subject} is no timer of a policy`,
    });
  const { tenant, project, id } = subject;
  const { policy } = body.data;
  const state = id.slice(policy.length + 1);
  return { boundary: { tenant, project }, policy, state, cause: `ring${entry.seq}` };
};

/** The timer of what was put off, in whatever state. */
export const PACED = 'paced';

export interface PolicyTimers {
  /** Rings at `dueAt` (epoch ms; one that is over: at once). Replaces the one of the same policy and state. */
  set(
    place: Pick<Ring, 'boundary' | 'policy'>,
    timer: { readonly state: string; readonly dueAt: number; readonly cause: string },
  ): Promise<void>;
}

/** `log` is that of TIMERS. */
export const createPolicyTimers = (log: EventLog): PolicyTimers => ({
  set: async (place, { state, dueAt, cause }) => {
    const { boundary, policy } = place;
    const timer = { owner: POLICY_TIMER, id: `${policy}-${state}` };
    // No expectation: the newest time stands.
    await log.append({
      subject: timerSubject(boundary, 'set', timer),
      id: `${policyKey(place)}.${cause}.timer`,
      headers: {
        'Nats-Schedule': `@at ${isoTime(dueAt)}`,
        'Nats-Schedule-Target': timerSubject(boundary, 'fire', timer),
        // What has rung is of no use to anybody; an hour is for whoever looks into it.
        'Nats-Schedule-TTL': '1h',
      },
      body: jsonBytes({ policy, dueAt }),
    });
  },
});
