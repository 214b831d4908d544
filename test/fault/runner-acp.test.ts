// The provider acp against an agent that behaves, misbehaves and refuses to go.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import { acpRig } from '#test/support/acp-rig.ts';

const unknown = (events: readonly ProviderEvent[]): readonly string[] =>
  events.flatMap((event) => (event.kind === 'unknown-line' ? [event.reason] : []));
const outputs = (events: readonly ProviderEvent[]): string =>
  events.flatMap((event) => (event.kind === 'output' ? [event.text] : [])).join('');

describe('an agent that behaves', () => {
  test('is told in order: words joined, thoughts, calls, files, plan, mode, usage', async () => {
    const diff = { type: 'diff', path: 'a.txt', oldText: null, newText: 'x' };
    const call = { toolCallId: 'c-1', title: 'Edit a.txt', kind: 'edit' };
    const entries = [{ content: 'think', status: 'in_progress', priority: 'high' }];
    const { events, facts } = await acpRig().run([
      { think: 'one ' },
      { think: 'two' },
      { say: 'I ' },
      { say: 'edit.' },
      { update: { sessionUpdate: 'tool_call', ...call, status: 'pending' } },
      { update: { sessionUpdate: 'tool_call_update', toolCallId: 'c-1', rawInput: { path: 'a.txt' } } },
      {
        update: {
          sessionUpdate: 'tool_call_update',
          toolCallId: 'c-1',
          status: 'completed',
          content: [diff],
        },
      },
      { update: { sessionUpdate: 'plan', entries } },
      { update: { sessionUpdate: 'current_mode_update', currentModeId: 'plan' } },
      {
        update: {
          sessionUpdate: 'usage_update',
          used: 5,
          size: 10,
          cost: { amount: 0.0125, currency: 'USD' },
        },
      },
      { say: 'Done.' },
    ]);
    expect(events.slice(1)).toEqual([
      { kind: 'reasoning', text: 'one two' },
      { kind: 'text', text: 'I edit.' },
      { kind: 'tool-started', callId: 'c-1', name: 'edit', input: { path: 'a.txt' } },
      { kind: 'file-changed', path: 'a.txt', change: 'created' },
      { kind: 'tool-finished', callId: 'c-1', output: '', isError: false },
      { kind: 'plan', entries: [{ content: 'think', status: 'in-progress', priority: 'high' }] },
      { kind: 'session-mode', mode: 'plan' },
      { kind: 'text', text: 'Done.' },
      {
        kind: 'usage',
        usage: { inputTokens: 15, cachedInputTokens: 5, outputTokens: 2, costMicroUsd: 12_500 },
      },
    ]);
    expect(facts).toMatchObject({
      closing: { outcome: 'done', summary: 'Done.' },
      session: { counters: { costMicroUsd: 12_500 } },
    });
  });

  test('TR-20 is read no faster than its events are taken', async () => {
    const gate = Promise.withResolvers<void>();
    const offered = Promise.withResolvers<void>();
    const texts: string[] = [];
    const rig = acpRig();
    const { turn } = rig.start([{ flood: 20_000 }, { file: { path: 'all-said', content: '' } }], {
      sink: async (event) => {
        if (event.kind !== 'text') return;
        offered.resolve();
        await gate.promise;
        texts.push(event.text);
      },
    });
    await offered.promise;
    const before = process.memoryUsage().rss;
    // Another one does a whole turn meanwhile. 20 MB do not fit between two processes: the first is still at its words.
    await rig.run([{ say: 'beside' }], { session: 'ses-2' });
    expect(existsSync(join(rig.workspace, 'all-said'))).toBe(false);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
    gate.resolve();
    expect((await turn.ended).closing?.outcome).toBe('done');
    expect(existsSync(join(rig.workspace, 'all-said'))).toBe(true);
    const text = texts.join('');
    expect(text.match(/ \d+\n/g)).toHaveLength(20_000);
    expect(text).toMatch(/ 19999\n$/);
  });
});

test('an agent that is sent on is prompted again in the same turn, and what it used is summed', async () => {
  const rig = acpRig();
  const reasons = [JSON.stringify([{ say: 'second' }]), null];
  const { facts, events } = await rig.run(
    { steps: [{ say: 'first' }], after: [{ raw: 'between them' }] },
    { stopReason: () => reasons.shift() ?? null },
  );
  expect(facts).toMatchObject({
    closing: { outcome: 'done' },
    usage: { inputTokens: 30, cachedInputTokens: 10, outputTokens: 4 },
  });
  expect(events.map(({ kind }) => kind)).toEqual([
    'session-bound',
    'text',
    'usage',
    'unknown-line',
    'text',
    'usage',
  ]);
  expect(rig.log().filter((line) => line.startsWith('prompt'))).toHaveLength(2);
  // One that has failed is not sent on.
  const failed = await rig.run([{ end: { stopReason: 'refusal' } }], {
    resume: facts.session as never,
    stopReason: () => 'never',
  });
  expect(failed.result.outcome).toBe('failed');
});

describe('what is not known', () => {
  test('is kept and changes nothing: garbage, other notifications, updates and requests', async () => {
    const rig = acpRig({ persona: { greetsWith: 'Welcome!' } });
    const { events, facts } = await rig.run([
      { raw: '{"half":' },
      { binary: true },
      { raw: '[1,2]' },
      { notify: { id: 77, result: {} } },
      { notify: { hello: 'there' } },
      { notify: { method: 'brand/new', params: { a: 1 } } },
      { update: { sessionUpdate: 'hologram', shape: 'cube' } },
      { update: { sessionUpdate: 'agent_message_chunk', content: 'no content' } },
      { update: { sessionUpdate: 'tool_call', title: 'without an id' } },
      { ofAnother: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: 'not mine' } } },
      { request: { method: 'fs/read_text_file', params: { path: '/etc/passwd' } } },
      { say: 'still here' },
    ]);
    expect(facts.closing).toMatchObject({ outcome: 'done', summary: 'still here' });
    expect(unknown(events)).toEqual([
      'not a JSON object',
      'not a JSON object',
      'not a JSON object',
      'not a JSON object',
      'an answer to nothing that was asked',
      'not a message of JSON-RPC',
      'a notification not known here: brand/new',
      'an update of a kind not known here: hologram',
      expect.stringContaining('content'),
      expect.stringContaining('toolCallId'),
      'an update of a conversation that is not this one',
      'it asks for what is not offered here: fs/read_text_file',
    ]);
    expect(rig.log().find((line) => line.startsWith('request'))).toContain('-32601');
  });

  test('is kept up to the limit of a line, and the rest is counted', async () => {
    const { events, result } = await acpRig().run([
      { bytes: 10_000_000 },
      { bytes: 20_000_000 },
      { say: 'ok' },
    ]);
    const lines = events.flatMap((event) => (event.kind === 'unknown-line' ? [event] : []));
    expect(lines.map(({ line, cutBytes }) => [line.length, cutBytes])).toEqual([
      [10_000_000, 0],
      [16 * 1024 * 1024, 20_000_000 - 16 * 1024 * 1024],
    ]);
    expect(result.outcome).toBe('done');
  });

  test('in a flood stays a few events', async () => {
    const { events } = await acpRig().run([{ floodUnknown: 50_000 }]);
    expect(unknown(events)).toHaveLength(64);
    expect(outputs(events).split('\n')).toHaveLength(50_000 - 64 + 1);
  });

  test('said between two turns is kept for the next', async () => {
    const rig = acpRig();
    const { facts } = await rig.run({
      steps: [{ say: 'one' }],
      after: [{ say: 'late words' }, { notify: { method: 'late/news' } }, { complain: 'late complaint' }],
    });
    // Time for the late lines to come: another one does a whole turn.
    await rig.run([{ say: 'beside' }], { session: 'ses-2' });
    const next = await rig.run([{ say: 'two' }], { resume: facts.session as never });
    expect(unknown(next.events)).toEqual([
      'said between two turns',
      'a notification not known here: late/news',
    ]);
    expect(outputs(next.events)).toBe('late complaint\n');
    expect(next.facts.closing).toMatchObject({ summary: 'two' });
  });
});

describe('an agent that fails', () => {
  test.each([
    ['that is not there', undefined, /cannot start/],
    ['that is no agent', { protocolVersion: 7 }, /version 7 of the protocol/],
    ['that nobody is logged in to', { needsLogin: true }, /not logged in: Authentication required/],
  ])('%s says so', async (_what, persona, message) => {
    const rig = acpRig({ ...(persona !== undefined && { persona }) });
    const { result } = await rig.run([], persona === undefined ? { program: ['/nowhere/agent'] } : {});
    expect(result.outcome).toBe('failed');
    expect(result.failure?.message).toMatch(message);
    expect(await rig.alive()).toEqual([]);
  });

  test('WK-20 that dies in the middle of its prompt has failed, and so has one that just goes', async () => {
    const died = await acpRig().run([{ say: 'almost' }, { die: 'SIGSEGV' }]);
    expect(died.result).toMatchObject({ outcome: 'failed', signal: 'SIGSEGV', summary: 'almost' });
    const gone = await acpRig().run([{ exit: 0 }]);
    expect(gone.result).toMatchObject({
      outcome: 'failed',
      failure: { kind: 'protocol-invalid' },
      exitCode: 0,
    });
  });

  test('whose prompt is answered with an error has failed, and its process goes on', async () => {
    const rig = acpRig();
    const error = { code: 500, message: 'stub 500', data: { errorKind: 'server_error' } };
    const { result, facts } = await rig.run([{ fail: error }]);
    expect(result.failure).toEqual({ kind: 'provider-failed', message: 'stub 500: server_error (code 500)' });
    expect((await rig.run([{ say: 'again' }], { resume: facts.session as never })).result.outcome).toBe(
      'done',
    );
    expect(rig.log().filter((line) => line.startsWith('started'))).toHaveLength(1);
  });

  test('TR-20 that says nothing is ended by the watch over its silence', async () => {
    for (const script of [[{ hang: true }], [{ hang: 'deaf' }]]) {
      const rig = acpRig({ limits: { silenceMs: 300 } });
      const { facts, result } = await rig.run(script);
      expect(facts.stopped).toBe('silence');
      expect(result).toMatchObject({ outcome: 'failed', failure: { kind: 'turn-timeout' } });
      expect(await rig.alive()).toEqual([]);
    }
  });

  test('WK-18 that closes its output and lives on is ended: it could answer nothing any more', async () => {
    const rig = acpRig({ persona: { ignoresTerm: true } });
    const { facts, result, events } = await rig.run([{ closeStdout: true }, { hang: true }]);
    expect(facts).toMatchObject({ stopped: null, exit: { signal: 'SIGKILL' } });
    expect(outputs(events)).toBe('the agent closed its output and lived on\n');
    expect(result).toMatchObject({ outcome: 'failed', failure: { kind: 'provider-failed' } });
    expect(await rig.alive()).toEqual([]);
  });

  test('that never answers a request of ours before its prompt is ended as well', async () => {
    for (const deafTo of ['initialize', 'session/new']) {
      const rig = acpRig({ persona: { deafTo }, limits: { silenceMs: 300 } });
      expect((await rig.run([])).facts.stopped).toBe('silence');
      expect(await rig.alive()).toEqual([]);
    }
  });

  test('that takes longer than its limit is ended, whatever it says', async () => {
    const rig = acpRig({ limits: { turnTimeoutMs: 700 } });
    const { facts } = await rig.run([{ say: 'on and on' }, { ignoreTerm: true }, { hang: 'deaf' }]);
    expect(facts).toMatchObject({ stopped: 'deadline', exit: { signal: 'SIGKILL' } });
  });
});
