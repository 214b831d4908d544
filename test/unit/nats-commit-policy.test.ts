// When a group of appends is worth an atomic batch.
import { CommitPolicy, type GroupCommitMode, MAX_BATCH, PROBE_SIZE } from '#libs/nats/commit-policy.ts';
import { describe, expect, it } from 'vitest';

/** What the process sees: each test goes on where the one before stopped. */
let nowMs = 0;
let idleMs = 0;
const clock = { monotonicMs: () => nowMs, idleMs: () => idleMs };
const policyOf = (mode: GroupCommitMode = 'auto'): CommitPolicy => new CommitPolicy(mode, clock);

/** Time goes by, of which the process waits for so much of each ms; by default it has nothing else to do. */
const pass = (ms: number, waits = 1): void => {
  nowMs += ms;
  idleMs += ms * waits;
};

interface Pipe {
  readonly count?: number;
  readonly waits?: number;
}

/** Shows the policy a full pipe of singles of which one was acknowledged after another. */
const showSingles = (policy: CommitPolicy, eachMs: number, { count = 64, waits = 1 }: Pipe = {}): void => {
  for (let n = 0; n < count; n += 1) {
    pass(eachMs, waits);
    policy.observeSingle(64);
  }
};

/** So many singles that were sent at once took this long until all were acknowledged. */
const showTogether = (policy: CommitPolicy, ms: number, { count = 64, waits = 1 }: Pipe = {}): void => {
  const from = policy.now();
  pass(ms, waits);
  policy.observeSingles(from, count);
};

const probe = (policy: CommitPolicy, eachMs: number): void => {
  policy.beginProbe(PROBE_SIZE);
  showSingles(policy, eachMs, { count: PROBE_SIZE });
};

describe('the commit policy', () => {
  it('sends singles until it knows better', () => {
    expect(policyOf().threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('learns that batches pay where every single costs a sync', () => {
    const policy = policyOf();
    showSingles(policy, 0.31);
    expect(policy.threshold).toBeGreaterThanOrEqual(8);
    expect(policy.threshold).toBeLessThan(20);
  });

  it('keeps to singles where they are cheap', () => {
    const policy = policyOf();
    showSingles(policy, 0.012, { count: 1000 });
    expect(policy.threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('asks for larger groups the dearer a batch turns out to be', () => {
    const policy = policyOf();
    showSingles(policy, 0.31);
    const before = policy.threshold;
    for (let n = 0; n < 10; n += 1) policy.observeBatch(12, 50);
    expect(policy.threshold).toBeGreaterThan(before);
    expect(policy.threshold).toBeLessThanOrEqual(MAX_BATCH);
  });

  it('does not take the pace of a few callers for the cost of an append', () => {
    const policy = policyOf();
    for (let n = 0; n < 100; n += 1) {
      pass(5);
      policy.observeSingle(3);
    }
    expect(policy.threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('looks again at singles after many batches, and forgets batches when they have become dearer', () => {
    const policy = policyOf();
    showSingles(policy, 0.31);
    expect(policy.wantsProbe).toBe(false);
    for (let n = 0; n < 300; n += 1) policy.observeBatch(4, 50);
    expect(policy.wantsProbe).toBe(true);
    for (let round = 0; round < 20; round += 1) probe(policy, 0.01);
    expect(policy.wantsProbe).toBe(false);
    expect(policy.threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('looks at singles soon after its first batches, and ever more rarely while they stay dear', () => {
    const policy = policyOf();
    showSingles(policy, 0.31);
    const waits = Array.from({ length: 7 }, () => {
      let batches = 0;
      for (; !policy.wantsProbe; batches += 1) policy.observeBatch(4, 50);
      probe(policy, 0.31);
      return batches;
    });
    expect(waits).toEqual([8, 16, 32, 64, 128, 256, 256]);
  });

  it('does not take a pause of the process for the cost of an append', () => {
    const policy = policyOf();
    showSingles(policy, 0.012, { count: 1000 });
    pass(60);
    showSingles(policy, 0.012, { count: 400 });
    expect(policy.threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('knows the cost of appends by bursts of answers, too', () => {
    const policy = policyOf();
    for (let burst = 0; burst < 10; burst += 1) {
      pass(20);
      showSingles(policy, 0, { count: 64 });
    }
    expect(policy.threshold).toBeLessThan(20);
  });

  it('tries a batch again some time after a stalled one', () => {
    const policy = policyOf();
    showSingles(policy, 0.31);
    for (let n = 0; n < 8; n += 1) policy.observeBatch(2000, 50);
    expect(policy.threshold).toBeGreaterThan(50);
    showSingles(policy, 0.31, { count: 500 });
    expect(policy.threshold).toBeLessThan(50);
  });

  it('sees within a few hundred appends that each costs a sync now', () => {
    const policy = policyOf();
    showSingles(policy, 0.012, { count: 1000 });
    showSingles(policy, 0.31, { count: 400 });
    expect(policy.threshold).toBeLessThan(20);
  });

  it('compares singles that were sent at once with a batch, however late this process reads the answers', () => {
    const policy = policyOf();
    expect(policy.isSure).toBe(false);
    // A sync each, and a process that comes to its answers 30 ms late, of singles and of batches alike.
    showTogether(policy, 64 * 0.4 + 30);
    expect(policy.isSure).toBe(true);
    for (let n = 0; n < 20; n += 1) policy.observeBatch(3 + 300 * 0.025 + 30, 300);
    expect(policy.wantsProbe).toBe(true);
    showTogether(policy, 64 * 0.4 + 30);
    expect(policy.wantsProbe).toBe(false);
    expect(policy.threshold).toBeLessThan(100);
  });

  it('goes back to singles that were sent at once where they are cheap', () => {
    const policy = policyOf();
    showTogether(policy, 64 * 0.4);
    expect(policy.threshold).toBeLessThan(20);
    for (let n = 0; n < 20; n += 1) showTogether(policy, 64 * 0.01 + 0.5);
    expect(policy.threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('does not take for the cost of an append that a busy process reads its answers late', () => {
    const policy = policyOf();
    showSingles(policy, 0.3, { count: 2000, waits: 0.02 });
    expect(policy.threshold).toBe(Number.POSITIVE_INFINITY);
    for (let n = 0; n < 20; n += 1) showTogether(policy, 64 * 0.3, { waits: 0.02 });
    expect(policy.threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('learns that each append costs a sync as soon as a busy process has to wait for some', () => {
    const policy = policyOf();
    showSingles(policy, 0.31, { count: 400, waits: 0.2 });
    expect(policy.threshold).toBeLessThan(20);
  });

  it('goes on with batches while a busy process cannot tell what else would cost', () => {
    const policy = policyOf();
    showSingles(policy, 0.31);
    const before = policy.threshold;
    for (let round = 0; round < 20; round += 1) {
      policy.beginProbe(PROBE_SIZE);
      showSingles(policy, 0.01, { count: PROBE_SIZE, waits: 0 });
    }
    expect(policy.threshold).toBe(before);
  });

  it('does as it is told when it is told', () => {
    const always = policyOf('always');
    const never = policyOf('never');
    showSingles(always, 0.01);
    showSingles(never, 1);
    expect(always.threshold).toBe(8);
    expect(never.threshold).toBe(Number.POSITIVE_INFINITY);
    expect(always.wantsProbe || never.wantsProbe).toBe(false);
  });
});
