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
  /**
   * Rings timer after timer until `isDone` says so (asked whenever everything has settled): true. False when it has not after `mostMs`, or when
   * nothing is pending any more. The fastest way through a long time; queues behind the other calls as they do.
   */
  advanceUntil(isDone: () => boolean, mostMs: number): Promise<boolean>;
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

/** Immediates that are set at once: between two of them every microtask runs, and a turn of the event loop is paid once for all. */
const STEPS_A_TURN = 64;

/** Calls `step` again and again until it gives an outcome; in between, every microtask that is waiting runs, and those that they start. */
const stepUntilDone = <T>(step: () => T | undefined): Promise<T> =>
  new Promise((resolve, reject) => {
    let isOver = false;
    const next = (): void => {
      if (isOver) return;
      try {
        const outcome = step();
        if (outcome === undefined) return;
        isOver = true;
        resolve(outcome);
      } catch (error) {
        isOver = true;
        reject(error);
      }
    };
    const turn = (): void => {
      next();
      if (isOver) return;
      for (let at = 1; at < STEPS_A_TURN; at += 1) setImmediate(next);
      setImmediate(turn);
    };
    setImmediate(turn);
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

const sleepOn =
  (timer: Clock['timer']): Clock['sleep'] =>
  (delayMs, signal) =>
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

/** A clock that shows `startMs` (epoch ms) until it is advanced. */
export const createManualClock = (startMs = 1_900_000_000_000): ManualClock => {
  const timers = new TimerHeap();
  let [elapsedMs, order] = [0, 0];
  let wallOffsetMs = startMs;
  const inTurn = createLine();

  const timer: Clock['timer'] = (delayMs, callback) => {
    const dueMs = elapsedMs + (delayMs > 0 ? delayMs : 0);
    const entry: Timer = { dueMs, order: (order += 1), ring: callback };
    timers.push(entry);
    return () => timers.cancel(entry);
  };

  const ringOne = (untilMs: number): boolean => {
    const next = timers.peek();
    if (next === undefined || next.dueMs > untilMs) return false;
    timers.pop();
    elapsedMs = Math.max(elapsedMs, next.dueMs);
    const ring = next.ring;
    next.ring = undefined;
    ring?.();
    return true;
  };
  const ringNext = async (untilMs: number): Promise<boolean> => {
    if (!ringOne(untilMs)) return false;
    await drainMicrotasks();
    return true;
  };

  return {
    // Whole, as everywhere: somebody may have slept for a fraction.
    now: () => Math.floor(wallOffsetMs + elapsedMs),
    monotonicMs: () => elapsedMs,
    timer,
    sleep: sleepOn(timer),
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
    advanceUntil: (isDone, mostMs) =>
      inTurn(() => {
        const untilMs = elapsedMs + mostMs;
        return stepUntilDone(() => {
          if (isDone()) return true;
          return ringOne(untilMs) ? undefined : false;
        });
      }),
    settle: () => inTurn(drainMicrotasks),
    jumpWall: (ms) => {
      wallOffsetMs += ms;
    },
    pendingTimers: () => timers.pending,
  };
};
