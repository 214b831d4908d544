// Times of a calendar: five cron fields in a time zone. Daylight saving is the package's business: a time that a day does not have is
// taken at the next one that it has, and one that it has twice counts once. Reads no clock.
import { Cron } from 'croner';

/** A calendar that people wrote. */
export interface Calendar {
  /** `0 7 * * 1-5` */
  readonly cron: string;
  /** IANA name. */
  readonly timeZone: string;
}

// oxlint-disable-next-line no-restricted-globals -- a given time, not the present one
const dateOf = (atMs: number): Date => new Date(atMs);

const parse = ({ cron, timeZone }: Calendar): Cron => {
  const fields = cron.trim().split(/\s+/);
  if (fields.length !== 5)
    throw new RangeError(`expected five fields (minute hour day month weekday), not ${fields.length}`);
  const parsed = new Cron(fields.join(' '), { timezone: timeZone, paused: true });
  // The zone is looked at when a time is asked for.
  parsed.nextRun(dateOf(0));
  return parsed;
};

const isZone = (timeZone: string): boolean => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
};

/** What is wrong with a calendar, in one line; undefined: nothing. */
export const cronProblem = (calendar: Calendar): string | undefined => {
  try {
    parse(calendar);
    return undefined;
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).replace(/^CronPattern:\s*/, '');
    if (isZone(calendar.timeZone)) return why;
    const zone = `there is no time zone ${JSON.stringify(calendar.timeZone)}; expected an IANA name such as Europe/Berlin`;
    // The expression may be wrong besides.
    const besides = cronProblem({ ...calendar, timeZone: 'UTC' });
    return besides === undefined ? zone : `${zone}; ${besides}`;
  }
};

/** The first of its times after `afterMs` (epoch ms); null: there is none. Throws for a calendar that {@link cronProblem} refuses. */
export const nextCronAt = (calendar: Calendar, afterMs: number): number | null =>
  parse(calendar).nextRun(dateOf(afterMs))?.getTime() ?? null;

/** The last of its times in (`afterMs`, `untilMs`]; null: there is none. */
export const lastCronAt = (calendar: Calendar, afterMs: number, untilMs: number): number | null => {
  // Its own second is not counted by the package, so the next one is the end; a time within that is not yet due, and the one before it counts.
  const times = parse(calendar).previousRuns(2, dateOf(untilMs + 1000));
  const at = times.map((time) => time.getTime()).find((time) => time <= untilMs) ?? 0;
  return at > afterMs ? at : null;
};
