// The control endpoint on a real socket: who may ask for what, and what becomes of it.
import { mkdirSync, readFileSync, statSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ApprovalsPart, TurnsPart } from '#services/runner/control/control-parts.ts';
import { scratchDir } from '#test/support/broker.ts';
import { infoPath, mail, owedReply, owing, startControlRig } from '#test/support/control-rig.ts';

const code = ({ body }: { readonly body: unknown }): unknown => (body as { code?: unknown }).code;

describe('where it listens', () => {
  test('on a socket of this user alone, named with its token in a file of this user alone', async () => {
    const rig = await startControlRig();
    const socket = join(rig.dataDir, 'control.sock');
    expect(rig.address()).toBe(`unix:${socket}`);
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    expect(statSync(infoPath(rig.dataDir)).mode & 0o777).toBe(0o600);
    const info = JSON.parse(readFileSync(infoPath(rig.dataDir), 'utf8')) as Record<string, string>;
    expect(info).toMatchObject({ address: rig.address(), runnerId: 'builder-1-buffer', pid: process.pid });
    expect(await rig.ask('/v1/status', info['token'])).toMatchObject({
      status: 200,
      body: { agent: 'builder-1', controlPlane: 'connected', obligations: null },
    });
    await rig.endpoint.stop();
    expect(existsSync(socket) || existsSync(infoPath(rig.dataDir))).toBe(false);
  });

  test('on loopback where the path is too long for a socket, and says so', async () => {
    const dataDir = join(scratchDir('ctl'), 'a'.repeat(90));
    mkdirSync(dataDir, { recursive: true });
    const rig = await startControlRig({ dataDir });
    expect(rig.address()).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(rig.loopback()).toBe(rig.address());
    expect(rig.logged.find(({ level }) => level === 'warn')?.message).toContain('too long for a socket');
    expect((await rig.ask('/v1/status', rig.turn().token)).status).toBe(200);
  });

  test('in the place of a socket that an earlier process left behind', async () => {
    const dataDir = scratchDir('ctl');
    writeFileSync(join(dataDir, 'control.sock'), 'left behind');
    writeFileSync(join(dataDir, 'control.json'), '{}', { mode: 0o644 });
    const rig = await startControlRig({ dataDir });
    expect((await rig.ask('/v1/status', rig.turn().token)).status).toBe(200);
    expect(statSync(infoPath(dataDir)).mode & 0o777).toBe(0o600);
  });
});

describe('who may ask', () => {
  test('nobody without a token, with a wrong one, or with that of a turn that is over', async () => {
    const rig = await startControlRig();
    const { token, scope } = rig.turn();
    for (const path of ['/v1/status', '/v1/obligations', '/v1/mail/inbox']) {
      expect(code(await rig.ask(path))).toBe('TOKEN_REQUIRED');
      expect(code(await rig.ask(path, 'wrong'))).toBe('TOKEN_UNKNOWN');
    }
    expect(await rig.ask('/v1/stop', undefined, {})).toMatchObject({ status: 401 });
    expect((await rig.ask('/v1/stop', token, {})).status).toBe(200);
    rig.endpoint.end(scope.turnId);
    rig.endpoint.end(scope.turnId);
    expect(await rig.ask('/v1/stop', token, {})).toMatchObject({ status: 410, body: { code: 'TURN_OVER' } });
    expect(rig.reports).toEqual([]);
  });

  test('with the token of the info file one may look, and speak for no turn', async () => {
    const rig = await startControlRig({ parts: { obligations: owing(owedReply()) } });
    const { token } = JSON.parse(readFileSync(infoPath(rig.dataDir), 'utf8')) as { token: string };
    expect((await rig.ask('/v1/obligations', token)).body).toMatchObject({
      ready: true,
      owed: [{ from: 'user' }],
    });
    expect(await rig.ask('/v1/done', token, {})).toMatchObject({
      status: 403,
      body: { code: 'TURN_REQUIRED' },
    });
  });

  test('the program of an ACP session keeps its token from turn to turn, and it is worth nothing in between', async () => {
    const rig = await startControlRig();
    const first = rig.turn('acp');
    rig.endpoint.end(first.scope.turnId);
    expect(await rig.ask('/v1/stop', first.token, {})).toMatchObject({ status: 410 });
    const next = rig.turn('acp', 'the next', first.scope);
    expect(next.token).toBe(first.token);
    await rig.ask('/v1/session-turn', first.token, { text: 'still me' });
    expect(rig.reports).toMatchObject([{ turnId: next.scope.turnId, payload: { text: 'still me' } }]);
    expect(rig.turn('acp').token).not.toBe(first.token);
    expect(rig.turn('claude', 'another', first.scope).token).not.toBe(first.token);
  });

  test('each turn speaks for itself', async () => {
    const rig = await startControlRig();
    const [one, other] = [rig.turn(), rig.turn()];
    await rig.ask('/v1/session-turn', one.token, { text: 'one' });
    await rig.ask('/v1/session-turn', other.token, { text: 'other' });
    expect(rig.reports.map(({ turnId }) => turnId)).toEqual([one.scope.turnId, other.scope.turnId]);
  });
});

describe('what is reported', () => {
  test('RN-03 RN-04 says, thoughts, prompts and ends become reports of the turn', async () => {
    const rig = await startControlRig();
    const { token, scope } = rig.turn('exec', 'Do it.');
    rig.endpoint.echo(scope.turnId);
    await rig.ask('/v1/user-prompt', token, { text: 'Do it.\n' });
    await rig.ask('/v1/user-prompt', token, { text: 'And this.' });
    await rig.ask('/v1/session-turn', token, { text: 'Done.', key: 'last' });
    await rig.ask('/v1/session-turn', token, { kind: 'reasoning', text: 'Hm.' });
    await rig.ask('/v1/session-end', token, { reason: 'logout', providerSessionId: 'abc' });
    const { turnId } = scope;
    expect(rig.reports).toEqual([
      { turnId, name: 'prompt-echoed', payload: { text: 'Do it.', origin: 'run' }, id: `${turnId}.prompt` },
      { turnId, name: 'prompt-echoed', payload: { text: 'And this.', origin: 'program' }, id: undefined },
      { turnId, name: 'text', payload: { text: 'Done.' }, id: `${turnId}.said-last` },
      { turnId, name: 'reasoning', payload: { text: 'Hm.' }, id: undefined },
      {
        turnId,
        name: 'session-ended',
        payload: { reason: 'logout', providerSessionId: 'abc' },
        id: undefined,
      },
    ]);
  });

  test('RN-06 a report that cannot reach the disk keeps nobody waiting', async () => {
    const full = Promise.withResolvers<number>();
    const rig = await startControlRig({ writer: { write: () => full.promise } });
    const answer = await rig.ask('/v1/session-turn', rig.turn().token, { text: 'said' });
    expect(answer).toMatchObject({ status: 200, body: { stored: false } });
    full.resolve(1);
  });

  test('RN-15 a hook that failed is logged as fatal and reported, and a failure to report is swallowed', async () => {
    const rig = await startControlRig();
    const failure = { hook: 'stop', error: 'x'.repeat(5000) };
    expect(await rig.ask('/v1/hook-fatal', rig.turn().token, failure)).toMatchObject({ status: 200 });
    expect(rig.reports).toMatchObject([{ name: 'hook-failed', payload: { hook: 'stop' } }]);
    expect(rig.logged).toContainEqual({ level: 'fatal', message: 'a hook has failed' });
    const broken = await startControlRig({ writer: { write: () => Promise.reject(new Error('disk')) } });
    const answer = await broken.ask('/v1/hook-fatal', broken.turn().token, failure);
    expect(answer).toMatchObject({ status: 200, body: { stored: false } });
    expect(broken.logged).toContainEqual({ level: 'error', message: 'a report cannot be kept' });
  });

  test('a turn that is somebody else’s by now is told of no more', async () => {
    const rig = await startControlRig({ parts: { obligations: owing(owedReply()) } });
    const { scope } = rig.turn();
    rig.endpoint.revoke(scope.turnId);
    rig.endpoint.end(scope.turnId);
    rig.endpoint.echo(scope.turnId);
    expect(rig.endpoint.stopReason(scope.turnId)).toBeNull();
    expect(rig.reports).toEqual([]);
  });
});

describe('the stop gate', () => {
  test('RO-01 sends on an agent that owes a reply, three times, then lets go and says what is still owed', async () => {
    const owed = owedReply({ messageId: 'msg_01JZ8Q4V6N3M7R5T9W2X4Y6Z8B' });
    const rig = await startControlRig({ parts: { obligations: owing(owed) }, isConnected: () => false });
    const { token, scope } = rig.turn('codex');
    for (let block = 0; block < 3; block += 1)
      expect((await rig.ask('/v1/stop', token, {})).body).toMatchObject({
        decision: 'go-on',
        reason: expect.stringContaining(owed.messageId),
      });
    expect((await rig.ask('/v1/stop', token, {})).body).toEqual({ decision: 'stop' });
    rig.endpoint.end(scope.turnId);
    expect(rig.reports.map(({ name, payload, id }) => [name, payload, id])).toEqual([
      ...[1, 2, 3].map((blocks) => [
        'stop-gate',
        {
          decision: 'blocked',
          blocks,
          owed: [{ messageId: owed.messageId, from: 'user', subject: 'A question' }],
        },
        `${scope.turnId}.gate-${blocks}`,
      ]),
      [
        'stop-gate',
        { decision: 'let-go', blocks: 3, owed: [expect.objectContaining({ messageId: owed.messageId })] },
        `${scope.turnId}.gate-end`,
      ],
    ]);
  });

  test('lets go at once when the reply was given meanwhile', async () => {
    const obligations = owing(owedReply());
    const rig = await startControlRig({ parts: { obligations } });
    const { token, scope } = rig.turn();
    expect(rig.endpoint.stopReason(scope.turnId)).toContain('You still owe a reply');
    obligations.snapshot = { ...obligations.snapshot, owed: [] };
    expect((await rig.ask('/v1/stop', token, {})).body).toEqual({ decision: 'stop' });
    rig.endpoint.end(scope.turnId);
    expect(rig.reports).toHaveLength(1);
  });
});

describe('what others answer', () => {
  test('mail is sent, answered and listed by the mail part, and a refusal keeps its code', async () => {
    const rig = await startControlRig({ parts: { mail } });
    const { token } = rig.turn();
    const messageId = 'msg_01JZ8Q4V6N3M7R5T9W2X4Y6Z8C';
    const sent = await rig.ask('/v1/mail/send', token, { messageId, to: 'anna', body: 'hello' });
    expect(sent).toMatchObject({ status: 200, body: { messageId, state: 'sent' } });
    const replied = await rig.ask('/v1/mail/reply', token, { replyTo: messageId, body: 'yes' });
    expect(replied.body).toMatchObject({ state: 'queued', messageId: expect.stringMatching(/^msg_/) });
    expect(await rig.ask('/v1/mail/send', token, { to: 'nobody', body: 'x' })).toMatchObject({
      status: 409,
      body: { code: 'RECIPIENT_UNKNOWN', detail: expect.stringContaining('anna') },
    });
    for (const [query, limit] of [
      ['', 20],
      ['?limit=5', 5],
      ['?limit=9999', 200],
      ['?limit=-1', 20],
    ] as const)
      expect((await rig.ask(`/v1/mail/inbox${query}`, token)).body).toMatchObject({
        messages: [{ body: `at most ${limit}` }],
      });
  });

  test('an agent says that it is done or blocked', async () => {
    const said: unknown[] = [];
    const turns: TurnsPart = {
      signalDone: async ({ turnId }, word) => {
        said.push([turnId, word]);
        return { kind: 'ok', result: { state: 'kept' } };
      },
    };
    const rig = await startControlRig({ parts: { turns } });
    const { token, scope } = rig.turn();
    expect((await rig.ask('/v1/done', token, { outcome: 'blocked', summary: 'no key' })).body).toEqual({
      state: 'kept',
    });
    expect(said).toEqual([[scope.turnId, { outcome: 'blocked', summary: 'no key' }]]);
  });

  test('a question waits for a person, and no longer than the turn', async () => {
    const asked = Promise.withResolvers<void>();
    const approvals: ApprovalsPart = {
      isAsked: false,
      decide: async () => ({ decision: 'none' }),
      ask: (_turn, call, signal) =>
        new Promise((resolve) => {
          if (call.tool === 'deploy')
            return resolve({ isAllowed: true, input: { to: 'test' }, message: 'only there' });
          signal.addEventListener('abort', () =>
            resolve({ isAllowed: false, why: 'withdrawn', message: 'the turn ended' }),
          );
          asked.resolve();
        }),
    };
    const rig = await startControlRig({ parts: { approvals } });
    const { token, scope } = rig.turn();
    expect((await rig.ask('/v1/permission', token, { tool: 'deploy', input: { to: 'live' } })).body).toEqual({
      isAllowed: true,
      input: { to: 'test' },
      message: 'only there',
    });
    const waiting = rig.ask('/v1/ask', token, { question: 'May I?' });
    await asked.promise;
    rig.endpoint.end(scope.turnId);
    expect(await waiting).toMatchObject({ status: 200, body: { isAllowed: false, why: 'withdrawn' } });
  });

  test('nobody pretends: what this runner has nobody for is refused with a code', async () => {
    const rig = await startControlRig();
    const { token } = rig.turn();
    const tries = [
      ['/v1/obligations', undefined, 'OBLIGATIONS_UNAVAILABLE'],
      ['/v1/mail/inbox', undefined, 'MAIL_UNAVAILABLE'],
      ['/v1/mail/send', { to: 'anna', body: 'x' }, 'MAIL_UNAVAILABLE'],
      ['/v1/done', {}, 'TURNS_UNAVAILABLE'],
      ['/v1/ask', { question: 'May I?' }, 'APPROVALS_UNAVAILABLE'],
      ['/v1/hooks/pre-tool-use', { tool_name: 'Bash' }, 'APPROVALS_UNAVAILABLE'],
    ] as const;
    for (const [path, body, expected] of tries)
      expect(await rig.ask(path, token, body)).toMatchObject({ status: 501, body: { code: expected } });
    expect((await rig.ask('/v1/stop', token, {})).body).toEqual({ decision: 'stop' });
  });
});
