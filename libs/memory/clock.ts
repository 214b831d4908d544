// Time that moves only when a test says so: every timer and sleep of a simulation hangs on one of these clocks.
// Guarantees that timers ring in the order they are due (ties: in the order they were set) and that everything a timer
// started has settled before the next one rings. Does not wait for I/O: only work made of promises is seen to its end.
import { invariant } from '#libs/kernel/invariant.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { type Timer, TimerHeap } from './timer-heap.ts';

/** A {@link Clock} driven by hand. */
export interface ManualClock extends Clock {
  /** Moves wall and monotonic time forward, ringing what falls due on the way. Calls queue behind one another. */
  advance(ms: number): Promise<void>;
  /** Moves to the next timer and rings it. False when nothing is pending: whoever waits now waits for ever. */
  advanceToNext(): Promise<boolean>;
  /** Lets everything that can run at this instant run; time stands still. */
  settle(): Promise<void>;
  /** Moves the wall clock alone, in either direction, as an administrator or NTP would. Timers and monotonic time do not notice. */
  jumpWall(ms: number): void;
  /** Timers that have neither rung nor been cancelled. */
  pendingTimers(): number;
}

/** Runs every microtask that is waiting, and those that they start: an immediate comes only after all of them. */
const drainMicrotasks = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

/** Runs one piece of work after another. */
const createLine = (): (<T>(work: () => Promise<T>) => Promise<T>) => {
  let tail: Promise<unknown> = Promise.resolve();
  return (work) => {
    const run = tail.then(work, work);
    tail = run.catch(() => undefined);
    return run;
  };
};

/** A clock that shows `startMs` (epoch ms) until it is advanced. */
export const createManualClock = (startMs = 1_900_000_000_000): ManualClock => {
  const timers = new TimerHeap();
  let elapsedMs = 0;
  let wallOffsetMs = startMs;
  let order = 0;
  const inTurn = createLine();

  const timer: Clock['timer'] = (delayMs, callback) => {
    const dueMs = elapsedMs + (delayMs > 0 ? delayMs : 0);
    const entry: Timer = { dueMs, order: (order += 1), ring: callback };
    timers.push(entry);
    return () => timers.cancel(entry);
  };

  const sleep: Clock['sleep'] = (delayMs, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const done = (): void => {
        cancel();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const cancel = timer(delayMs, done);
      signal?.addEventListener('abort', done, { once: true });
    });

  const ringNext = async (untilMs: number): Promise<boolean> => {
    const next = timers.peek();
    if (next === undefined || next.dueMs > untilMs) return false;
    timers.pop();
    elapsedMs = Math.max(elapsedMs, next.dueMs);
    const ring = next.ring;
    next.ring = undefined;
    ring?.();
    await drainMicrotasks();
    return true;
  };

  return {
    now: () => wallOffsetMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    timer,
    sleep,
    advance: (ms) => {
      invariant(ms >= 0, 'time does not go back: use jumpWall');
      return inTurn(async () => {
        await drainMicrotasks();
        const target = elapsedMs + ms;
        while (await ringNext(target));
        elapsedMs = target;
      });
    },
    advanceToNext: () =>
      inTurn(async () => {
        await drainMicrotasks();
        return ringNext(Number.POSITIVE_INFINITY);
      }),
    settle: () => inTurn(drainMicrotasks),
    jumpWall: (ms) => {
      wallOffsetMs += ms;
    },
    pendingTimers: () => timers.pending,
  };
};
