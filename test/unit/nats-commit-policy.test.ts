// When a group of appends is worth an atomic batch.
import { CommitPolicy, MAX_BATCH, PROBE_SIZE } from '#libs/nats/commit-policy.ts';
import { describe, expect, it } from 'vitest';

let nowMs = 0;

/** Shows the policy a full pipe of singles that cost this much each. */
const showSingles = (policy: CommitPolicy, eachMs: number, count = 64): void => {
  for (let n = 0; n < count; n += 1) policy.observeSingle((nowMs += eachMs), 64);
};

const probe = (policy: CommitPolicy, eachMs: number): void => {
  policy.beginProbe(nowMs, PROBE_SIZE);
  showSingles(policy, eachMs, PROBE_SIZE);
};

describe('the commit policy', () => {
  it('sends singles until it knows better', () => {
    expect(new CommitPolicy('auto').threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('learns that batches pay where every single costs a sync', () => {
    const policy = new CommitPolicy('auto');
    showSingles(policy, 0.31);
    expect(policy.threshold).toBeGreaterThanOrEqual(8);
    expect(policy.threshold).toBeLessThan(20);
  });

  it('keeps to singles where they are cheap', () => {
    const policy = new CommitPolicy('auto');
    showSingles(policy, 0.012, 1000);
    expect(policy.threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('asks for larger groups the dearer a batch turns out to be', () => {
    const policy = new CommitPolicy('auto');
    showSingles(policy, 0.31);
    const before = policy.threshold;
    for (let n = 0; n < 10; n += 1) policy.observeBatch(12, 50);
    expect(policy.threshold).toBeGreaterThan(before);
    expect(policy.threshold).toBeLessThanOrEqual(MAX_BATCH);
  });

  it('does not take the pace of a few callers for the cost of an append', () => {
    const policy = new CommitPolicy('auto');
    for (let n = 0; n < 100; n += 1) policy.observeSingle(n * 5, 3);
    expect(policy.threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('looks again at singles after many batches, and forgets batches when they have become dearer', () => {
    const policy = new CommitPolicy('auto');
    showSingles(policy, 0.31);
    expect(policy.wantsProbe).toBe(false);
    for (let n = 0; n < 300; n += 1) policy.observeBatch(4, 50);
    expect(policy.wantsProbe).toBe(true);
    for (let round = 0; round < 20; round += 1) probe(policy, 0.01);
    expect(policy.wantsProbe).toBe(false);
    expect(policy.threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('looks at singles soon after its first batches, and ever more rarely while they stay dear', () => {
    const policy = new CommitPolicy('auto');
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
    const policy = new CommitPolicy('auto');
    showSingles(policy, 0.012, 1000);
    nowMs += 60;
    showSingles(policy, 0.012, 400);
    expect(policy.threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('knows the cost of appends by bursts of answers, too', () => {
    const policy = new CommitPolicy('auto');
    for (let burst = 0; burst < 10; burst += 1) {
      nowMs += 20;
      showSingles(policy, 0, 64);
    }
    expect(policy.threshold).toBeLessThan(20);
  });

  it('tries a batch again some time after a stalled one', () => {
    const policy = new CommitPolicy('auto');
    showSingles(policy, 0.31);
    for (let n = 0; n < 8; n += 1) policy.observeBatch(2000, 50);
    expect(policy.threshold).toBeGreaterThan(50);
    showSingles(policy, 0.31, 500);
    expect(policy.threshold).toBeLessThan(50);
  });

  it('sees within a few hundred appends that each costs a sync now', () => {
    const policy = new CommitPolicy('auto');
    showSingles(policy, 0.012, 1000);
    showSingles(policy, 0.31, 400);
    expect(policy.threshold).toBeLessThan(20);
  });

  it('compares singles that were sent at once with a batch, however late this process reads the answers', () => {
    const policy = new CommitPolicy('auto');
    expect(policy.isSure).toBe(false);
    // A sync each, and a process that comes to its answers 30 ms late, of singles and of batches alike.
    policy.observeSingles(64 * 0.4 + 30, 64);
    expect(policy.isSure).toBe(true);
    for (let n = 0; n < 20; n += 1) policy.observeBatch(3 + 300 * 0.025 + 30, 300);
    expect(policy.wantsProbe).toBe(true);
    policy.observeSingles(64 * 0.4 + 30, 64);
    expect(policy.wantsProbe).toBe(false);
    expect(policy.threshold).toBeLessThan(100);
  });

  it('goes back to singles that were sent at once where they are cheap', () => {
    const policy = new CommitPolicy('auto');
    policy.observeSingles(64 * 0.4, 64);
    expect(policy.threshold).toBeLessThan(20);
    for (let n = 0; n < 20; n += 1) policy.observeSingles(64 * 0.01 + 0.5, 64);
    expect(policy.threshold).toBe(Number.POSITIVE_INFINITY);
  });

  it('does as it is told when it is told', () => {
    const always = new CommitPolicy('always');
    const never = new CommitPolicy('never');
    showSingles(always, 0.01);
    showSingles(never, 1);
    expect(always.threshold).toBe(8);
    expect(never.threshold).toBe(Number.POSITIVE_INFINITY);
    expect(always.wantsProbe || never.wantsProbe).toBe(false);
  });
});
