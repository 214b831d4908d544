// What a runner keeps of its sessions: where each stands, what it was about within bounds, and for how long.
import { array, assert, boolean, constantFrom, integer, property, record, string } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import type { Change } from '#libs/outbox/outbox.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';
import { SessionKeeping } from '#services/runner/session-keeping.ts';
import { createSessionNotes } from '#services/runner/session-notes.ts';
import { prunable } from '#services/runner/session-prune.policy.ts';
import { recapOf, withTurn, type RecapTurn } from '#services/runner/session-recap.policy.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const setUp = () => {
  const clock = createManualClock();
  const kept = new Map<string, unknown>();
  const outbox = {
    note: (key: string) => kept.get(key),
    notes: (prefix = '') => new Map([...kept].filter(([key]) => key.startsWith(prefix))),
    commit: async ({ notes = [] }: Change) => {
      for (const { key, value } of notes)
        if (value === null) kept.delete(key);
        else kept.set(key, JSON.parse(JSON.stringify(value)));
      return [];
    },
  };
  const sessions = createSessionNotes({ outbox, clock, redactor: createRedactor() });
  const point = { providerSessionId: 'p-1', counters: { costMicroUsd: 7 } };
  const turn = (prompt: string, summary = 'did it') => ({ prompt, outcome: 'done' as const, summary });
  return { clock, kept, outbox, sessions, point, turn };
};

describe('where a session stands', () => {
  test('is read as it was kept, for its own kind of program only', async () => {
    const { sessions, outbox, point } = setUp();
    await outbox.commit({ notes: [sessions.change('s', 'claude', point)] });
    expect(sessions.read('s', 'claude')).toEqual(point);
    expect(sessions.read('s', 'codex')).toBeUndefined();
    await outbox.commit({ notes: [sessions.change('s', 'claude', 'gone')] });
    expect(sessions.read('s', 'claude')).toBeUndefined();
  });

  test.each([
    ['not there', undefined],
    ['no object', 'what?'],
    ['without its conversation', { provider: 'claude', counters: {} }],
    ['of a program not known here', { provider: 'other', providerSessionId: 'x', counters: {} }],
  ])('TR-04 TR-06 a note that is %s means a new conversation, and is not fatal', (_, value) => {
    const { sessions, kept } = setUp();
    if (value !== undefined) kept.set('session:s', value);
    expect(sessions.read('s', 'claude')).toBeUndefined();
    expect(sessions.recap('s', 'claude')).toEqual({ text: '', turns: 0 });
  });

  test('a note of an older version is read', () => {
    const { sessions, kept, point } = setUp();
    kept.set('session:s', { provider: 'claude', ...point });
    expect(sessions.read('s', 'claude')).toEqual(point);
  });
});

describe('what a session was about', () => {
  test('WK-28 is told oldest first, with what was asked and what came of it, and without secrets', async () => {
    const { sessions, outbox, point, turn } = setUp();
    await outbox.commit({ notes: [sessions.change('s', 'claude', point, turn('fix the cart'))] });
    await outbox.commit({ notes: [sessions.change('s', 'claude', point)] });
    const secret = 'use password=hunter2-hunter2 there';
    await outbox.commit({ notes: [sessions.change('s', 'claude', point, turn(secret, ''))] });
    const { text, turns } = sessions.recap('s', 'claude');
    expect(turns).toBe(2);
    expect(text).not.toContain('hunter2');
    expect(text).toMatch(
      /no longer available[^]*fix the cart[^]*You answered:\ndid it[^]*password=[^]*You answered\./,
    );
    expect(text.endsWith('What you are asked now:')).toBe(true);
  });

  test('is bounded, whatever was said, and says how much is left out', () => {
    const turnArb = record({
      endedAt: integer(),
      prompt: string({ maxLength: 4000 }),
      outcome: constantFrom<RecapTurn['outcome']>('done', 'yielded', 'blocked', 'failed', 'cancelled'),
      summary: string({ maxLength: 4000 }),
    });
    assert(
      property(array(turnArb, { maxLength: 40 }), (turns) => {
        const kept = turns.reduce<readonly RecapTurn[]>((before, turn) => withTurn(before, turn), []);
        expect(kept.length).toBe(Math.min(turns.length, 12));
        const recap = recapOf(kept);
        expect(recap.text.length).toBeLessThan(17_000);
        expect(recap.turns <= kept.length && (recap.turns > 0 || kept.length === 0)).toBe(true);
        expect(recap.text.includes('left out')).toBe(recap.turns < kept.length);
      }),
      propertyRuns(200),
    );
  });
});

describe('giving up notes', () => {
  test('by age and by number, the least recently used first, and never one in use', () => {
    const sessionArb = record({ usedAt: integer({ min: 0, max: 1000 }), isInUse: boolean() });
    assert(
      property(array(sessionArb, { maxLength: 30 }), integer({ min: 1, max: 10 }), (uses, keepCount) => {
        const sessions = uses.map(({ usedAt }, at) => ({ sessionId: `s${at}`, usedAt }));
        const inUse = new Set(uses.flatMap(({ isInUse }, at) => (isInUse ? [`s${at}`] : [])));
        const gone = new Set(prunable(sessions, { keepMs: 600, keepCount }, 1000, inUse));
        for (const id of inUse) expect(gone.has(id)).toBe(false);
        const stay = sessions.filter(({ sessionId }) => !gone.has(sessionId) && !inUse.has(sessionId));
        expect(stay.length).toBeLessThanOrEqual(keepCount);
        for (const { usedAt } of stay) expect(usedAt).toBeGreaterThanOrEqual(400);
        const newest = Math.max(
          -1,
          ...sessions.filter(({ sessionId }) => gone.has(sessionId)).map(({ usedAt }) => usedAt),
        );
        if (newest >= 400) expect(stay).toHaveLength(keepCount);
        for (const { usedAt } of stay) if (newest >= 400) expect(usedAt).toBeGreaterThanOrEqual(newest);
      }),
      propertyRuns(500),
    );
  });

  test('spares sessions that a turn is in or waits for, until the last one has left', async () => {
    const { clock, kept, outbox, sessions, point } = setUp();
    const rule = { keepMs: 1000, keepCount: 100 };
    const fatal: unknown[] = [];
    const keeping = new SessionKeeping({
      sessions,
      outbox,
      rule,
      onFatal: (error) => void fatal.push(error),
    });
    for (const id of ['busy', 'idle']) await outbox.commit({ notes: [sessions.change(id, 'claude', point)] });
    const leaveFirst = keeping.enter('busy');
    const leaveSecond = keeping.enter('busy');
    await clock.advance(5000);
    expect(await keeping.prune()).toBe(1);
    expect([...kept.keys()]).toEqual(['session:busy']);
    leaveFirst();
    leaveFirst();
    expect(await keeping.prune()).toBe(0);
    leaveSecond();
    expect(await keeping.prune()).toBe(1);
    expect(fatal).toEqual([]);
  });
});
