// Keyed lanes: jobs of one key run one after another in the order they were added, jobs of different keys side by side,
// at most `width` at once. A job may ask to be run again later: its lane waits for it (nothing passes), its place in the
// width goes to others. Does not bound what is added: that is the caller's (see run-consumer.ts).
//
// A lane is   ready    it has jobs and queues for a place
//             running  its head runs
//             waiting  its head has asked to be run again; a timer is set
//             (gone)   no jobs
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';

/** What a job says at its end: done; run me again after a while; or give me and all behind me in the lane back. */
export type Step = 'done' | 'abandon' | { readonly waitMs: number };

export interface Job {
  /** Must not reject: a job that does is a defect and is reported to `onDefect`. */
  run(): Promise<Step>;
}

interface Lane<J extends Job> {
  readonly key: string;
  readonly jobs: J[];
  state: 'ready' | 'running' | 'waiting';
  cancelWait: CancelTimer | undefined;
}

export interface LanesOptions<J extends Job> {
  readonly clock: Clock;
  /** Most jobs that run at once. */
  readonly width: number;
  /** Jobs that leave without having been done, in lane order; the first one may have run. */
  readonly onAbandoned: (jobs: readonly J[]) => void;
  readonly onDefect: (error: unknown) => void;
}

export interface Lanes<J extends Job> {
  /** Adds a job behind those of its key. */
  add(key: string, job: J): void;
  /** Jobs in a lane, the running one included. */
  depth(key: string): number;
  /** True while the head of the lane waits to be run again. */
  isWaiting(key: string): boolean;
  /** Abandons all jobs of waiting lanes. */
  abandonWaiting(): void;
  /** Abandons everything that is not running; what runs finishes. */
  abandonIdle(): void;
  /** Resolves when no lane has a job. */
  drained(): Promise<void>;
}

class LaneSet<J extends Job> implements Lanes<J> {
  readonly #options: LanesOptions<J>;
  readonly #lanes = new Map<string, Lane<J>>();
  readonly #ready: Lane<J>[] = [];
  #running = 0;
  #whenDrained: (() => void)[] = [];

  constructor(options: LanesOptions<J>) {
    this.#options = options;
  }

  add(key: string, job: J): void {
    const lane = this.#lanes.get(key);
    if (lane !== undefined) {
      lane.jobs.push(job);
      return;
    }
    const fresh: Lane<J> = { key, jobs: [job], state: 'ready', cancelWait: undefined };
    this.#lanes.set(key, fresh);
    this.#ready.push(fresh);
    this.#fill();
  }

  depth(key: string): number {
    return this.#lanes.get(key)?.jobs.length ?? 0;
  }

  isWaiting(key: string): boolean {
    return this.#lanes.get(key)?.state === 'waiting';
  }

  abandonWaiting(): void {
    for (const lane of this.#lanes.values()) if (lane.state === 'waiting') this.#abandon(lane);
  }

  abandonIdle(): void {
    for (const lane of this.#lanes.values()) {
      if (lane.state === 'running') this.#options.onAbandoned(lane.jobs.splice(1));
      else this.#abandon(lane);
    }
  }

  drained(): Promise<void> {
    if (this.#lanes.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenDrained.push(resolve);
    });
  }

  /** Gives places to lanes, in the order in which they became ready. */
  #fill(): void {
    while (this.#running < this.#options.width) {
      const lane = this.#ready.shift();
      if (lane === undefined) return;
      const job = lane.jobs[0];
      // An abandoned lane has no jobs any more; it may still stand in the queue.
      if (job !== undefined && lane.state === 'ready') this.#start(lane, job);
    }
  }

  #start(lane: Lane<J>, job: J): void {
    lane.state = 'running';
    this.#running += 1;
    job.run().then(
      (step) => this.#settle(lane, step),
      (error: unknown) => {
        this.#options.onDefect(error);
        this.#settle(lane, 'abandon');
      },
    );
  }

  #settle(lane: Lane<J>, step: Step): void {
    this.#running -= 1;
    if (step === 'abandon') this.#abandon(lane);
    else if (step === 'done') {
      lane.jobs.shift();
      if (lane.jobs.length > 0) this.#queue(lane);
      else this.#remove(lane);
    } else {
      lane.state = 'waiting';
      lane.cancelWait = this.#options.clock.timer(step.waitMs, () => {
        this.#queue(lane);
        this.#fill();
      });
    }
    this.#fill();
  }

  #queue(lane: Lane<J>): void {
    lane.state = 'ready';
    lane.cancelWait = undefined;
    this.#ready.push(lane);
  }

  #abandon(lane: Lane<J>): void {
    lane.cancelWait?.();
    this.#options.onAbandoned(lane.jobs.splice(0));
    this.#remove(lane);
  }

  #remove(lane: Lane<J>): void {
    this.#lanes.delete(lane.key);
    if (this.#lanes.size > 0) return;
    const waiting = this.#whenDrained;
    this.#whenDrained = [];
    for (const resolve of waiting) resolve();
  }
}

export const createLanes = <J extends Job>(options: LanesOptions<J>): Lanes<J> => new LaneSet(options);
