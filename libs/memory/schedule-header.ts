// The headers by which an entry asks to be rung later, and those that a rung entry carries. Knows `@at <time>` only:
// repeating schedules are refused, so that nobody builds on them in memory and misses them.
import type { NewEntry, StoredEntry } from '#libs/ports/event-log.ts';
import type { StreamShape } from './definitions.ts';
import { refused } from './refusal.ts';
import { isLiteralSubject, matchesSubject } from './subject-match.ts';

const SCHEDULE = 'Nats-Schedule';
const TARGET = 'Nats-Schedule-Target';
const SCHEDULE_TTL = 'Nats-Schedule-TTL';
const SCHEDULER = 'Nats-Scheduler';
const NEXT = 'Nats-Schedule-Next';
const TTL = 'Nats-TTL';
const MSG_ID = 'Nats-Msg-Id';
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

type Headers = StoredEntry['headers'];

/** When (epoch ms) and where a schedule rings. */
export interface Schedule {
  readonly dueAt: number;
  readonly target: string;
}

const timeOf = (specification: string): number => {
  const [, time] = /^@at (\S+)$/.exec(specification) ?? [];
  // oxlint-disable-next-line no-restricted-globals -- reads a time out of a text, not off a clock
  return time === undefined ? Number.NaN : Date.parse(time);
};

/** The schedule that an entry asks for, if it does. */
export const scheduleOf = (headers: Headers): Schedule | undefined => {
  const specification = headers[SCHEDULE];
  if (specification === undefined) return undefined;
  return { dueAt: timeOf(specification), target: headers[TARGET] ?? '' };
};

/** The schedule subject that an entry cancels, if it does. */
export const cancelledBy = (headers: Headers): string | undefined =>
  headers[NEXT] === 'purge' ? headers[SCHEDULER] : undefined;

/** How long an entry is kept at most: whole seconds as `90`, `90s`, `5m`, `1h`. NaN for what is none of these. */
export const lifetimeMs = (headers: Headers): number | undefined => {
  const text = headers[TTL];
  if (text === undefined) return undefined;
  const [, count, unit = 's'] = /^(\d+)([smh])?$/.exec(text) ?? [];
  return Number(count ?? Number.NaN) * (UNIT_MS[unit] ?? Number.NaN);
};

/** Headers of the entry that rings: those of the writer, and whose ring it is. It has no id. */
export const rungHeaders = (schedule: StoredEntry): Headers => {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(schedule.headers))
    if (!name.startsWith(SCHEDULE) && name !== MSG_ID) headers[name] = value;
  const ttl = schedule.headers[SCHEDULE_TTL];
  if (ttl !== undefined) headers[TTL] = ttl;
  return { ...headers, [SCHEDULER]: schedule.subject, [NEXT]: 'purge' };
};

/** Throws `LOG_REFUSED` for a schedule or a lifetime that this stream does not take. */
export const checkSchedule = (stream: StreamShape, { subject, headers }: NewEntry): void => {
  const ttlMs = lifetimeMs(headers);
  if (ttlMs !== undefined && stream.allowMessageTtl !== true)
    throw refused(`stream ${stream.name} takes no lifetimes of single entries`);
  if (ttlMs !== undefined && !(ttlMs >= 1_000)) throw refused(`"${headers[TTL]}" is no lifetime`);
  const schedule = scheduleOf(headers);
  if (schedule === undefined) return;
  if (stream.allowSchedules !== true) throw refused(`stream ${stream.name} takes no schedules`);
  if (Number.isNaN(schedule.dueAt)) throw refused(`"${headers[SCHEDULE]}" is no time to ring at`);
  const { target } = schedule;
  const isTaken =
    isLiteralSubject(target) && stream.subjects.some((filter) => matchesSubject(filter, target));
  if (!isTaken || target === subject) throw refused(`a schedule cannot ring into "${target}"`, { target });
};
