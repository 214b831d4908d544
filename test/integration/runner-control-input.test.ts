// What callers of the control endpoint can get wrong, and the hooks of Claude Code and Codex, on a real socket.
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { askLocally } from '#libs/local-http/ask-locally.ts';
import { systemClock } from '#libs/system/clock.ts';
import type { ApprovalsPart } from '#services/runner/control/control-parts.ts';
import { mail, owedReply, owing, startControlRig, type ControlRig } from '#test/support/control-rig.ts';

const code = ({ body }: { readonly body: unknown }): unknown => (body as { code?: unknown }).code;

/** Sends bytes as they are and gives what comes back until the other side closes. */
const raw = (rig: ControlRig, bytes: string): Promise<string> =>
  new Promise((resolve) => {
    let text = '';
    const socket = connect({ path: rig.address().slice('unix:'.length) });
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('error', () => resolve(text));
    socket.on('close', () => resolve(text));
    socket.write(bytes);
  });

describe('hooks of Claude Code and Codex', () => {
  test('are answered in their own words', async () => {
    const rig = await startControlRig({ parts: { obligations: owing(owedReply()) } });
    const { token } = rig.turn('claude', 'Do it.');
    const hook = (name: string, input: object): Promise<unknown> =>
      rig.ask(`/v1/hooks/${name}`, token, input).then(({ body }) => body);
    const known = { session_id: 'abc', cwd: '/w', something_new: [1] };
    expect(await hook('user-prompt-submit', { ...known, prompt: 'Do it.' })).toEqual({});
    expect(await hook('user-prompt-submit', { ...known, prompt: 'More.' })).toEqual({});
    expect(await hook('stop', { ...known, stop_hook_active: false })).toEqual({
      decision: 'block',
      reason: expect.stringContaining('You still owe a reply'),
    });
    expect(await hook('session-end', { ...known, reason: 'other' })).toEqual({});
    expect(rig.reports.map(({ name, payload }) => [name, payload])).toEqual([
      ['prompt-echoed', { text: 'More.', origin: 'program' }],
      ['stop-gate', expect.objectContaining({ decision: 'blocked', blocks: 1 })],
      ['session-ended', { reason: 'other', providerSessionId: 'abc' }],
    ]);
  });

  test('are refused when their names or their input are none', async () => {
    const rig = await startControlRig();
    const { token } = rig.turn();
    expect(await rig.ask('/v1/hooks/constructor', token, {})).toMatchObject({ status: 404 });
    expect(code(await rig.ask('/v1/hooks/stop', token, { session_id: 7 }))).toBe('INPUT_INVALID');
    expect(code(await rig.ask('/v1/hooks/stop', token, []))).toBe('INPUT_INVALID');
  });
});

describe('garbage', () => {
  test('every mistake in a body is named', async () => {
    const rig = await startControlRig({ parts: { mail } });
    const answer = await rig.ask('/v1/mail/send', rig.turn().token, {
      to: 'No Such Name',
      body: '',
      extra: 1,
    });
    expect(answer).toMatchObject({ status: 400, body: { code: 'INPUT_INVALID' } });
    const paths = (answer.body as { errors: { path: string }[] }).errors.map(({ path }) => path);
    expect(paths.toSorted()).toEqual(['', 'body', 'to']);
  });

  test('what is no JSON, no path and no method is told so', async () => {
    const rig = await startControlRig();
    const { token } = rig.turn();
    const head = `host: x\r\nauthorization: Bearer ${token}\r\nconnection: close\r\n`;
    expect(await raw(rig, `POST /v1/done HTTP/1.1\r\n${head}content-length: 3\r\n\r\n{"a`)).toContain(
      'INPUT_MALFORMED',
    );
    expect(await raw(rig, `GET /v1/nowhere HTTP/1.1\r\n${head}\r\n`)).toContain('ROUTE_UNKNOWN');
    expect(await raw(rig, `GET //%%% HTTP/1.1\r\n${head}\r\n`)).toContain('ROUTE_UNKNOWN');
    expect(await raw(rig, `DELETE /v1/done HTTP/1.1\r\n${head}\r\n`)).toContain('METHOD_UNSUPPORTED');
    expect(await raw(rig, '\u0000\u0001 not http at all\r\n\r\n')).toContain('400 Bad Request');
    expect((await rig.ask('/v1/status', token)).status).toBe(200);
  });

  test('a body of 10 MB is refused, whether its length is told or not, and before it is read where nobody may send it', async () => {
    const rig = await startControlRig();
    const { token } = rig.turn();
    const body = { text: 'x'.repeat(10 * 1024 * 1024) };
    expect(await rig.ask('/v1/session-turn', token, body)).toMatchObject({
      status: 413,
      body: { code: 'INPUT_TOO_LARGE' },
    });
    expect(await rig.ask('/v1/session-turn', 'wrong', body)).toMatchObject({ status: 401 });
    const chunk = `100000\r\n${'x'.repeat(0x10_00_00)}\r\n`;
    const head = `POST /v1/hooks/stop HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ntransfer-encoding: chunked\r\n\r\n`;
    expect(await raw(rig, `${head}${chunk.repeat(10)}0\r\n\r\n`)).toContain('INPUT_TOO_LARGE');
    expect((await rig.ask('/v1/status', token)).status).toBe(200);
  });

  test('deep nesting breaks nothing', async () => {
    const rig = await startControlRig({ parts: { mail } });
    const { token } = rig.turn();
    const depth = 60_000;
    const body = `{"tool":"x","input":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    const head = `POST /v1/permission HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n`;
    expect(await raw(rig, head + body)).toContain('APPROVALS_UNAVAILABLE');
    expect((await rig.ask('/v1/status', token)).status).toBe(200);
  });

  test('a caller that dribbles is cut off, and holds up nobody meanwhile', { timeout: 30_000 }, async () => {
    const rig = await startControlRig();
    const { token } = rig.turn();
    const slow = raw(
      rig,
      `POST /v1/done HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-length: 100\r\n\r\n{`,
    );
    expect((await rig.ask('/v1/status', token)).status).toBe(200);
    expect(await slow).toContain('408');
  });

  test('WK-11 a caller that waits is cut off when the endpoint ends, and a later one finds nobody', async () => {
    const asked = Promise.withResolvers<void>();
    const approvals: ApprovalsPart = {
      isAsked: false,
      decide: async () => ({ decision: 'none' }),
      ask: () => {
        asked.resolve();
        return new Promise(() => undefined);
      },
    };
    const rig = await startControlRig({ parts: { approvals } });
    const address = rig.address();
    const { token } = rig.turn();
    const waiting = rig.ask('/v1/ask', token, { question: 'May I?' });
    await asked.promise;
    const cut = expect(waiting).rejects.toMatchObject({ code: 'LOCAL_UNREACHABLE' });
    await rig.endpoint.stop();
    await cut;
    await expect(
      askLocally({ address, method: 'GET', path: '/v1/status', token }, systemClock),
    ).rejects.toMatchObject({ code: 'LOCAL_UNREACHABLE', retry: 'later' });
  });
});
