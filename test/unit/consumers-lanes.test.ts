// Lanes by hand-settled jobs: order within a key, width over keys, waiting lanes, abandonment; and the gate of a lane
// whose later entries were given back.
import { describe, expect, test } from 'vitest';
import { createLaneGates } from '#libs/consumers/lane-gate.ts';
import { createLanes, type Job, type Step } from '#libs/consumers/lanes.ts';
import { createManualClock } from '#libs/memory/clock.ts';

class HandJob implements Job {
  readonly name: string;
  readonly #started: string[];
  #settle: ((step: Step) => void) | undefined;

  constructor(name: string, started: string[]) {
    this.name = name;
    this.#started = started;
  }

  run(): Promise<Step> {
    this.#started.push(this.name);
    return new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  end(step: Step = 'done'): void {
    this.#settle?.(step);
  }
}

const setup = (width: number) => {
  const clock = createManualClock();
  const started: string[] = [];
  const abandoned: string[] = [];
  const defects: unknown[] = [];
  const lanes = createLanes<Job & { readonly name: string }>({
    clock,
    width,
    onAbandoned: (jobs) => abandoned.push(...jobs.map(({ name }) => name)),
    onDefect: (error) => defects.push(error),
  });
  const add = (name: string): HandJob => {
    const job = new HandJob(name, started);
    lanes.add(name.charAt(0), job);
    return job;
  };
  return { clock, lanes, started, abandoned, defects, add };
};

describe('lanes', () => {
  test('run jobs of one key one after another and of different keys side by side', async () => {
    const { clock, started, add } = setup(8);
    const [a1] = [add('a1'), add('a2'), add('b1')];
    expect(started).toEqual(['a1', 'b1']);
    a1?.end();
    await clock.settle();
    expect(started).toEqual(['a1', 'b1', 'a2']);
  });

  test('run at most as many jobs at once as they are wide, in the order the lanes became ready', async () => {
    const { clock, started, add } = setup(2);
    const jobs = ['a1', 'b1', 'c1', 'd1'].map(add);
    expect(started).toEqual(['a1', 'b1']);
    jobs[1]?.end();
    await clock.settle();
    expect(started).toEqual(['a1', 'b1', 'c1']);
  });

  test('hold a lane whose head waits, and give its place to others', async () => {
    const { clock, lanes, started, add } = setup(1);
    const a1 = add('a1');
    add('a2');
    const b1 = add('b1');
    a1.end({ waitMs: 100 });
    await clock.settle();
    expect(lanes.isWaiting('a')).toBe(true);
    b1.end();
    await clock.advance(99);
    expect(started).toEqual(['a1', 'b1']);
    await clock.advance(1);
    expect(started).toEqual(['a1', 'b1', 'a1']);
    a1.end();
    await clock.settle();
    expect(started.at(-1)).toBe('a2');
  });

  test('give back a waiting lane as a whole, in order, and start with a fresh one afterwards', async () => {
    const { clock, lanes, abandoned, started, add } = setup(4);
    const a1 = add('a1');
    add('a2');
    add('b1');
    a1.end({ waitMs: 100 });
    await clock.settle();
    lanes.abandonWaiting();
    expect(abandoned).toEqual(['a1', 'a2']);
    add('a3');
    expect(started).toEqual(['a1', 'b1', 'a3']);
    await clock.advance(200);
    expect(started).toEqual(['a1', 'b1', 'a3']);
  });

  test('give back everything that does not run, and drain when the rest is done', async () => {
    const { clock, lanes, abandoned, add } = setup(1);
    const a1 = add('a1');
    add('a2');
    add('b1');
    lanes.abandonIdle();
    expect(abandoned.sort()).toEqual(['a2', 'b1']);
    let isDrained = false;
    const drained = lanes.drained().then(() => (isDrained = true));
    await clock.settle();
    expect(isDrained).toBe(false);
    a1.end();
    await drained;
    expect(lanes.depth('a')).toBe(0);
  });

  test('report a job that rejects, give its lane back and go on with the others', async () => {
    const { clock, lanes, defects, abandoned, started, add } = setup(1);
    lanes.add('x', { name: 'x1', run: () => Promise.reject(new Error('defect')) });
    add('x2');
    add('b1');
    await clock.settle();
    expect(defects).toHaveLength(1);
    expect(abandoned).toEqual(['x1', 'x2']);
    expect(started).toEqual(['b1']);
  });
});

describe('the gate of a lane', () => {
  const at = (seq: number, hasRoom: boolean, nowMs = 0) => ({ seq, hasRoom, nowMs: () => nowMs });

  test('lets entries through while the lane has room', () => {
    const gates = createLaneGates(1000);
    expect(gates.admit('a', at(1, true))).toBe(true);
    expect(gates.size).toBe(0);
  });

  test('turns away what comes after an entry that was turned away, until that one has come again', () => {
    const gates = createLaneGates(1000);
    expect(gates.admit('a', at(5, false))).toBe(false);
    expect(gates.admit('a', at(6, true))).toBe(false);
    expect(gates.admit('b', at(7, true)), 'another lane').toBe(true);
    expect(gates.admit('a', at(5, true))).toBe(true);
    expect(gates.admit('a', at(6, true))).toBe(true);
    expect(gates.size).toBe(0);
  });

  test('lets an older entry through: it belongs before those that are away', () => {
    const gates = createLaneGates(1000);
    gates.admit('a', at(5, false));
    expect(gates.admit('a', at(3, true))).toBe(true);
    expect(gates.admit('a', at(6, true))).toBe(false);
  });

  test('forgets an entry that stays away: another instance has taken it', () => {
    const gates = createLaneGates(1000);
    gates.admit('a', at(5, false, 0));
    expect(gates.admit('a', at(6, true, 999))).toBe(false);
    expect(gates.admit('a', at(7, true, 1999))).toBe(true);
    expect(gates.size).toBe(0);
  });
});
