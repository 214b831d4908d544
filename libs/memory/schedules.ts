// Makes the schedules of a stream ring: at its time, a schedule leaves the stream and its body is stored on its target.
// One schedule per subject; the next entry on that subject replaces it or, without a schedule of its own, ends it.
// Rings by the wall clock, as a broker does: a timer that finds the time not come yet waits on.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { cancelledBy, lifetimeMs, rungHeaders, scheduleOf, type Schedule } from './schedule-header.ts';
import type { StreamStore } from './stream-store.ts';

interface Pending {
  readonly entry: StoredEntry;
  readonly schedule: Schedule;
  cancel: CancelTimer;
}

/** Serves the schedules and the lifetimes of one stream from now on. */
export const serveSchedules = (store: StreamStore, clock: Clock): void => {
  const pending = new Map<string, Pending>();

  const end = (subject: string): Pending | undefined => {
    const ended = pending.get(subject);
    ended?.cancel();
    pending.delete(subject);
    return ended;
  };

  const ring = (due: Pending): void => {
    const { entry, schedule } = due;
    const early = schedule.dueAt - clock.now();
    if (early > 0) {
      due.cancel = clock.timer(early, () => ring(due));
      return;
    }
    end(entry.subject);
    store.remove(entry.seq);
    store.storeOwn({ subject: schedule.target, headers: rungHeaders(entry), body: entry.body });
  };

  const set = (entry: StoredEntry, schedule: Schedule): void => {
    const due: Pending = { entry, schedule, cancel: () => undefined };
    due.cancel = clock.timer(schedule.dueAt - clock.now(), () => ring(due));
    pending.set(entry.subject, due);
  };

  store.listen({
    stored: (entry) => {
      const ttlMs = lifetimeMs(entry.headers);
      if (ttlMs !== undefined) clock.timer(ttlMs, () => store.remove(entry.seq));
      const replaced = end(entry.subject);
      const schedule = scheduleOf(entry.headers);
      if (schedule !== undefined) {
        if (replaced !== undefined) store.remove(replaced.entry.seq);
        set(entry, schedule);
      }
      // A rung entry names its schedule as well; that one has ended by then.
      const cancelled = end(cancelledBy(entry.headers) ?? '');
      if (cancelled !== undefined) store.remove(cancelled.entry.seq);
    },
    removed: (entry) => {
      if (pending.get(entry.subject)?.entry.seq === entry.seq) end(entry.subject);
    },
  });
};
