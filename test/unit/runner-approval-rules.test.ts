// Which calls need a person, what a program is told before a call, and what names a call.
import { createSeededIds } from '#libs/memory/ids.ts';
import { createApprovalDesk } from '#services/runner/approvals/approval-desk.ts';
import type { ReportWriter, TurnScope } from '#services/runner/report-writer.ts';
import { describe, expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { askedCall, callDigest } from '#services/runner/approvals/asked-call.ts';
import { decideCall, type CallKnowledge } from '#services/runner/approvals/call-decision.ts';
import { asksBefore, RULE } from '#services/runner/approvals/call-rules.policy.ts';
import { Deadline } from '#services/runner/providers/deadline.ts';
import { SHOWN_INPUT_BYTES, type SettledApproval } from '#streams/approvals.ts';

describe('a rule', () => {
  const asks = (rule: string, tool: string, input: unknown = {}): boolean =>
    asksBefore([rule], { tool, input });

  test('names a tool, with stars for anything', () => {
    expect([
      asks('Bash', 'Bash'),
      asks('Bash', 'BashOutput'),
      asks('mcp__*', 'mcp__git__push'),
      asks('*', 'Read'),
    ]).toEqual([true, false, true, true]);
    expect([asks('mcp__*__push', 'mcp__git__push'), asks('mcp__*__push', 'mcp__push')]).toEqual([
      true,
      false,
    ]);
  });

  test('in brackets looks at each text of the input', () => {
    expect(asks('Bash(git push*)', 'Bash', { command: 'git push origin', description: 'x' })).toBe(true);
    expect(asks('Bash(git push*)', 'Bash', { command: 'git status' })).toBe(false);
    expect(asks('Write(*/secrets/*)', 'Write', { file_path: 'a/secrets/b', content: '' })).toBe(true);
    expect(asks('*(*rm*)', 'Anything', 'rm -r')).toBe(true);
    expect(asks('Bash(x)', 'Bash', null)).toBe(false);
  });

  test('takes no time that grows with the square of a text', () => {
    expect(asks('Bash(a*b*c*d)', 'Bash', { command: 'ab'.repeat(500_000) })).toBe(false);
  });

  test('that is none is not taken as one', () => {
    expect(['Bash', 'Bash(*)', 'mcp__*(a b)'].every((rule) => RULE.test(rule))).toBe(true);
    expect(['', 'Bash(', 'Bash()', 'a b', '(x)'].some((rule) => RULE.test(rule))).toBe(false);
  });
});

const call = { callId: 'call-1', tool: 'Bash', input: { command: 'make release', description: 'x' } };
const answered = (changes: Partial<SettledApproval> = {}): SettledApproval => ({
  approvalId: 'apr_01HF3Z0000000000000000000A',
  callId: 'call-1',
  tool: 'Bash',
  digest: callDigest(call.tool, call.input),
  decision: 'approve',
  ...changes,
});
const knowing = (changes: Partial<CallKnowledge> = {}): CallKnowledge => ({
  rules: ['Bash'],
  answers: [],
  deferredCallId: null,
  ...changes,
});

describe('before a call', () => {
  test('that no rule names the program is told nothing', () => {
    expect(decideCall({ ...call, tool: 'Read' }, knowing())).toEqual({ decision: 'none' });
    expect(decideCall(call, knowing({ rules: [] }))).toEqual({ decision: 'none' });
  });

  test('that needs a person it is told to end, also when it asks again', () => {
    expect(decideCall(call, knowing())).toEqual({ decision: 'defer' });
    expect(decideCall(call, knowing({ deferredCallId: 'call-1' }))).toEqual({ decision: 'defer' });
  });

  test('beside another that was put off, or without an id, it is told that the call cannot be made now', () => {
    expect(decideCall(call, knowing({ deferredCallId: 'call-0' }))).toMatchObject({ decision: 'deny' });
    expect(decideCall({ ...call, callId: null }, knowing())).toMatchObject({ decision: 'deny' });
  });

  test('HR-43 that a person has answered it is told the answer, also where no rule names it any more', () => {
    const told = (changes: Partial<SettledApproval>) =>
      decideCall(call, knowing({ rules: [], answers: [answered(changes)] }));
    expect(told({})).toEqual({ decision: 'allow', message: '' });
    expect(told({ decision: 'edit', input: { command: 'true' } })).toEqual({
      decision: 'allow',
      input: { command: 'true' },
      message: '',
    });
    for (const decision of ['reject', 'expired', 'withdrawn'] as const)
      expect(told({ decision, message: 'why' })).toMatchObject({
        decision: 'deny',
        message: expect.stringContaining('why'),
      });
  });

  test('with the id of an answered one and another input it is asked about anew', () => {
    const other = { ...call, input: { command: 'rm -r /' } };
    expect(decideCall(other, knowing({ answers: [answered()] }))).toEqual({ decision: 'defer' });
  });
});

describe('the digest of a call', () => {
  test('is the same for the same call, in whatever order its keys stand, and another for any other', () => {
    expect(callDigest('Bash', { a: 1, b: { d: [1, 2], c: 2 } })).toBe(
      callDigest('Bash', { b: { c: 2, d: [1, 2] }, a: 1 }),
    );
    const digests = [
      callDigest('Bash', { a: 1 }),
      callDigest('Bash', { a: '1' }),
      callDigest('Bash', { a: 1, b: null }),
      callDigest('Bash2', { a: 1 }),
      callDigest('Bash', [1, 2]),
      callDigest('Bash', [2, 1]),
      callDigest('Bash', null),
      callDigest('Bash', ''),
    ];
    expect(new Set(digests).size).toBe(digests.length);
    for (const digest of digests) expect(digest).toMatch(/^[0-9a-f]{64}$/);
  });

  test('is of the whole input, of which only so much is shown', () => {
    const input = { content: 'x'.repeat(2 * SHOWN_INPUT_BYTES) };
    const asked = askedCall({ callId: 'c', tool: 'Write', input });
    expect(asked.digest).toBe(callDigest('Write', input));
    expect(String(asked.input)).toHaveLength(SHOWN_INPUT_BYTES);
    expect(asked.inputCutBytes).toBe(JSON.stringify(input).length - SHOWN_INPUT_BYTES);
    expect(askedCall({ callId: 'c', tool: 'Write', input: { a: 1 } })).toMatchObject({
      input: { a: 1 },
      inputCutBytes: 0,
      question: 'Allow Write?',
    });
  });
});

describe('a deadline', () => {
  test('stands still while somebody holds it', async () => {
    const clock = createManualClock();
    let overs = 0;
    const deadline = new Deadline(clock, 1000, () => (overs += 1));
    await clock.advance(400);
    const [one, two] = [deadline.hold(), deadline.hold()];
    await clock.advance(10_000);
    one();
    one();
    await clock.advance(10_000);
    expect([overs, deadline.isHeld]).toEqual([0, true]);
    two();
    await clock.advance(599);
    expect(overs).toBe(0);
    await clock.advance(1);
    expect([overs, deadline.isHeld]).toEqual([1, false]);
  });

  test('that was stopped is never over, also when it is released later', async () => {
    const clock = createManualClock();
    let overs = 0;
    const deadline = new Deadline(clock, 1000, () => (overs += 1));
    const release = deadline.hold();
    deadline.stop();
    release();
    await clock.advance(100_000);
    expect(overs).toBe(0);
  });
});

describe('who must allow a call', () => {
  const questionWith = (config: Partial<Parameters<typeof createApprovalDesk>[0]['config']>) => {
    const clock = createManualClock();
    const desk = createApprovalDesk({
      // Nothing is reported here.
      writer: { write: () => Promise.reject(new Error('not here')) } as unknown as ReportWriter,
      clock,
      ids: createSeededIds(1, clock),
      config: {
        approvalWaitMs: 1000,
        askBefore: ['Bash'],
        approvalApprovers: 1,
        approvalFourEyes: false,
        ...config,
      },
    });
    return desk.parked({ turnId: 'trn_1' } as TurnScope, call).rule;
  };

  test('is said with the question where the settings say it, and else not', () => {
    expect(questionWith({})).toBeUndefined();
    expect(questionWith({ approvalApprovers: 2 })).toEqual({ approvers: 2, fourEyes: false });
    expect(questionWith({ approvalRole: 'release', approvalFourEyes: true })).toEqual({
      approvers: 1,
      role: 'release',
      fourEyes: true,
    });
  });
});
