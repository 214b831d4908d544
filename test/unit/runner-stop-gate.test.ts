// Whether an agent that owes a reply may stop: the policy alone, and the words that hooks are answered in.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  permissionRequestAnswer,
  preToolUseAnswer,
  stopAnswer,
} from '#services/runner/control/hook-answers.policy.ts';
import { debtsOf, stopGate, type StopGateFacts } from '#services/runner/control/stop-gate.policy.ts';
import { PROVIDERS } from '#streams/run.ts';
import { owedReply } from '#test/support/control-rig.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const FACTS: StopGateFacts = {
  provider: 'claude',
  ready: true,
  owed: [owedReply({ messageId: 'msg_1', from: 'anna', subject: 'Which\ncart?' })],
  blocks: 0,
  limit: 3,
  hasTools: true,
};

describe('what a turn owes', () => {
  const storedAt = 1_000_000;
  const brought = [{ messageId: 'msg_1', from: 'anna', subject: null, storedAt }];
  const unheard = { ready: false, refreshedAt: 0, owed: [] };
  const owedIds = (known: Parameters<typeof debtsOf>[0]): readonly string[] => {
    const decision = stopGate({ ...FACTS, ...debtsOf(known) });
    return decision.owed.map(({ messageId }) => messageId);
  };

  test('RO-01 is what it was brought, before anybody has said that it is owed', () => {
    expect(owedIds({ snapshot: unheard, brought })).toEqual(['msg_1']);
    const quick = { ready: true, refreshedAt: storedAt + 10, owed: [] };
    expect(owedIds({ snapshot: quick, brought })).toEqual(['msg_1']);
  });

  test('is named once, and seen, when it is listed as not seen yet', () => {
    const listed = [
      owedReply({ messageId: 'msg_1', injectedAt: null }),
      owedReply({ messageId: 'msg_2', injectedAt: null }),
    ];
    const snapshot = { ready: true, refreshedAt: storedAt + 10, owed: listed };
    expect(owedIds({ snapshot, brought })).toEqual(['msg_1']);
  });

  test('is what is listed, once there was time to hear of it', () => {
    const late = { ready: true, refreshedAt: storedAt + 60_000, owed: [] };
    expect(owedIds({ snapshot: late, brought })).toEqual([]);
    expect(owedIds({ snapshot: unheard, brought: [] })).toEqual([]);
  });
});

describe('the stop gate', () => {
  test('sends an agent on that owes a reply, and says which and how', () => {
    const decision = stopGate(FACTS);
    expect(decision).toMatchObject({ kind: 'block', owed: [{ messageId: 'msg_1' }] });
    const reason = decision.kind === 'block' ? decision.reason : '';
    expect(reason).toContain('- msg_1 from anna: Which cart?');
    expect(reason).toContain('tool `reply`');
    const without = stopGate({ ...FACTS, hasTools: false });
    expect(without.kind === 'block' ? without.reason : '').toContain('fleetlog reply');
  });

  test('lets an agent go that owes nothing, and one of whom nothing is known', () => {
    expect(stopGate({ ...FACTS, owed: [] })).toEqual({ kind: 'let-go', owed: [] });
    expect(stopGate({ ...FACTS, ready: false })).toEqual({ kind: 'let-go', owed: [] });
  });

  test('does not hold an agent to a message that it has not seen', () => {
    const unseen = owedReply({ injectedAt: null });
    expect(stopGate({ ...FACTS, owed: [unseen] })).toEqual({ kind: 'let-go', owed: [] });
    expect(stopGate({ ...FACTS, owed: [unseen, ...FACTS.owed] })).toMatchObject({ owed: FACTS.owed });
  });

  test('lets go after the configured number, and never beyond what the program allows', () => {
    expect(stopGate({ ...FACTS, blocks: 2 }).kind).toBe('block');
    expect(stopGate({ ...FACTS, blocks: 3 })).toEqual({ kind: 'let-go', owed: FACTS.owed });
    expect(stopGate({ ...FACTS, limit: 0 }).kind).toBe('let-go');
    expect(stopGate({ ...FACTS, limit: 100, blocks: 8 }).kind).toBe('let-go');
    expect(stopGate({ ...FACTS, limit: 100, blocks: 8, provider: 'codex' }).kind).toBe('block');
  });

  test('names so many and counts the rest', () => {
    const owed = Array.from({ length: 25 }, (_, at) => owedReply({ messageId: `msg_${at}` }));
    const decision = stopGate({ ...FACTS, owed });
    const reason = decision.kind === 'block' ? decision.reason : '';
    expect(reason).toContain('25 replies');
    expect(reason).toContain('- msg_19 ');
    expect(reason).not.toContain('- msg_20 ');
    expect(reason).toContain('and 5 more');
  });

  test('never holds anybody for ever, whatever is owed', () => {
    fc.assert(
      fc.property(
        fc.record({
          provider: fc.constantFrom(...PROVIDERS),
          ready: fc.boolean(),
          owed: fc.array(fc.option(fc.nat()).map((injectedAt) => owedReply({ injectedAt }))),
          limit: fc.nat(20),
          hasTools: fc.boolean(),
        }),
        (facts) => {
          let blocks = 0;
          while (stopGate({ ...facts, blocks }).kind === 'block') blocks += 1;
          expect(blocks).toBeLessThanOrEqual(facts.limit);
          if (facts.ready && facts.owed.some(({ injectedAt }) => injectedAt !== null))
            expect(blocks).toBe(facts.provider === 'claude' ? Math.min(facts.limit, 8) : facts.limit);
        },
      ),
      propertyRuns(100),
    );
  });
});

describe('answers to hooks', () => {
  test('say nothing where there is nothing to say', () => {
    expect(stopAnswer(null)).toEqual({});
    expect(preToolUseAnswer({ decision: 'none' })).toEqual({});
    expect(permissionRequestAnswer({ decision: 'none' })).toEqual({});
  });

  test('are in the words of Claude Code and Codex', () => {
    expect(stopAnswer('you owe a reply')).toEqual({ decision: 'block', reason: 'you owe a reply' });
    expect(preToolUseAnswer({ decision: 'allow', input: { command: 'ls' }, message: 'fine' })).toEqual({
      hookSpecificOutput: {
        hookEventName: 'PreToolUse',
        permissionDecision: 'allow',
        permissionDecisionReason: 'fine',
        updatedInput: { command: 'ls' },
      },
    });
    expect(preToolUseAnswer({ decision: 'deny', message: 'no' })).toMatchObject({
      hookSpecificOutput: { permissionDecision: 'deny', permissionDecisionReason: 'no' },
    });
    expect(preToolUseAnswer({ decision: 'defer' })).toMatchObject({
      hookSpecificOutput: { permissionDecision: 'defer' },
    });
    expect(permissionRequestAnswer({ decision: 'allow', message: '' })).toEqual({
      hookSpecificOutput: { hookEventName: 'PermissionRequest', decision: { behavior: 'allow' } },
    });
  });

  test('refuse a permission that cannot wait', () => {
    expect(permissionRequestAnswer({ decision: 'defer' })).toMatchObject({
      hookSpecificOutput: { decision: { behavior: 'deny', message: expect.stringContaining('allow') } },
    });
  });
});
