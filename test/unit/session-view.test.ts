// The summary of a session as a fold of what happens to it and to its runs.
import { describe, expect, test } from 'vitest';
import { titleOfPrompt } from '#services/gateway/run-routes.ts';
import { foldSession, type SessionSummary } from '#services/sessions/session.view.ts';
import { SESSION_EXAMPLES } from '#streams/generate-session-examples.ts';
import type { RunEvent } from '#streams/run.ts';
import type { SessionEvent } from '#streams/session.ts';
import { told, turnFinished } from '#test/support/command-history.ts';
import { claimed, completed, created, NOW, runId, sessionId, started } from '#test/support/run-history.ts';

const boundary = { tenant: 'local', project: 'main' };
const fold = (events: readonly (RunEvent | SessionEvent)[]): SessionSummary | undefined =>
  events.reduce<SessionSummary | undefined>(
    (view, event, at) => foldSession(view, { boundary, seq: at + 1, occurredAt: NOW + at, event }),
    undefined,
  );
const { 'fleetlog.session.updated.v1': updated, 'fleetlog.session.stored.v1': stored } = SESSION_EXAMPLES;

describe('the summary of a session', () => {
  test('ST-07 ST-29 ST-T12 begins with its first run, active and with nothing that nobody has said', () => {
    expect(fold([created({ title: 'say hello' })])).toEqual({
      ...boundary,
      sessionId,
      agent: 'builder-1',
      provider: 'exec',
      title: 'say hello',
      isTitled: false,
      activeRuns: [runId],
      runs: 1,
      lastRunId: runId,
      lastOutcome: null,
      lastFailureKind: null,
      version: 1,
      metadata: {},
      conversationId: null,
      providerSessionId: null,
      expiresAt: null,
      storage: null,
      subfolder: null,
      createdAt: NOW,
      lastActivityAt: NOW,
      updatedAt: NOW,
    });
  });

  test('ST-10 ST-40 a claim moves its activity and not its version; the end moves both and leaves nothing active', () => {
    const working = foldSession(fold([created(), claimed()]), {
      boundary,
      seq: 3,
      occurredAt: NOW + 5000,
      event: started(),
    });
    expect(working).toMatchObject({ version: 1, lastActivityAt: NOW + 5000 });
    expect(fold([created(), claimed(), started(), completed])).toMatchObject({
      version: 4,
      lastActivityAt: NOW + 3,
      activeRuns: [],
      lastRunId: runId,
      lastOutcome: 'completed',
    });
  });

  test('ST-10 a claim and a start that follow soon change nothing, so that nothing is written for them', () => {
    const begun = fold([created()]);
    const soon = { boundary, seq: 2, occurredAt: NOW + 4999 };
    expect(foldSession(begun, { ...soon, event: claimed() })).toBe(begun);
    expect(foldSession(begun, { ...soon, event: started() })).toBe(begun);
    // Earlier by the clock of a runner: time does not go back.
    expect(foldSession(begun, { ...soon, occurredAt: NOW - 60_000, event: started() })).toBe(begun);
  });

  test('ST-18 ST-40 what more is asked of its run, and a turn that ends while the run goes on, are news to readers; an interrupt is not', () => {
    const base = [created(), claimed(), started()];
    const versionAfter = (event: RunEvent): number | undefined => fold([...base, event])?.version;
    for (const event of [told('turn'), told('steer'), turnFinished()]) {
      expect(versionAfter(event)).toBe(4);
      expect(fold([...base, event])).toMatchObject({ activeRuns: [runId], lastOutcome: null });
    }
    expect(versionAfter(told('interrupt'))).toBe(1);
  });

  test('ST-43 what happens to a session that nobody opened is skipped', () => {
    expect(fold([claimed(), started(), updated, stored])).toBeUndefined();
  });

  test('ST-44 ST-45 a prompt names it, in one short line; a name that somebody gave stays, and an empty prompt takes none away', () => {
    expect(titleOfPrompt('  fix \n\t the   cart ')).toBe('fix the cart');
    expect(titleOfPrompt('x'.repeat(500))).toBe('x'.repeat(120));
    expect(titleOfPrompt(' \n ')).toBeNull();
    const again = created({ runId: `${runId.slice(0, -1)}B`, title: 'more' });
    expect(fold([created({ title: 'first' }), again])?.title).toBe('more');
    expect(fold([created({ title: 'first' }), created({ title: null })])?.title).toBe('first');
    const named = { ...updated, title: 'Cart rounding' };
    expect(fold([created(), named, again])?.title).toBe('Cart rounding');
    expect(fold([created(), named, { ...updated, title: null }, again])?.title).toBe('more');
  });
});
