// The tools of `fleetlog mcp`, asked by the official client over standard input and output.
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ApprovalsPart, TurnsPart } from '#services/runner/control/control-parts.ts';
import { mail, owedReply, owing, startControlRig, type ControlRig } from '#test/support/control-rig.ts';

const FLEETLOG = join(import.meta.dirname, '../../services/fleetlog.mjs');

const connect = async (env: Record<string, string>): Promise<Client> => {
  const client = new Client({ name: 'test', version: '1' });
  onTestFinished(() => client.close());
  const args = [FLEETLOG, 'mcp'];
  await client.connect(new StdioClientTransport({ command: process.execPath, args, env, stderr: 'pipe' }));
  return client;
};

const environmentOf = (rig: ControlRig, token: string): Record<string, string> => ({
  FLEETLOG_CONTROL: rig.address(),
  FLEETLOG_TURN_TOKEN: token,
});

/** What a tool said: parsed where it went well. */
const call = async (client: Client, name: string, given: Record<string, unknown> = {}): Promise<unknown> => {
  const { content, isError } = await client.callTool({ name, arguments: given });
  const [part] = content;
  const said = part?.type === 'text' ? part.text : '';
  return isError === true ? said : (JSON.parse(said) as unknown);
};

describe('the tools', () => {
  test('are those of the endpoint, with what they take', async () => {
    const rig = await startControlRig();
    const { tools } = await (await connect(environmentOf(rig, rig.turn().token))).listTools();
    expect(tools.map(({ name }) => name)).toEqual([
      'send',
      'reply',
      'inbox',
      'obligations',
      'done',
      'ask_for_approval',
    ]);
    const send = tools.find(({ name }) => name === 'send');
    expect(send?.inputSchema).toMatchObject({ required: ['to', 'body'], additionalProperties: false });
    expect(Object.keys(send?.inputSchema.properties ?? {})).not.toContain('messageId');
  });

  test('do what they say, in the name of the turn', async () => {
    const said: unknown[] = [];
    const turns: TurnsPart = {
      signalDone: async ({ turnId }, word) => {
        said.push([turnId, word]);
        return { kind: 'ok', result: { state: 'kept' } };
      },
    };
    const approvals: ApprovalsPart = {
      isAsked: false,
      decide: async () => ({ decision: 'none' }),
      ask: async (_turn, { question }) => ({ isAllowed: true, input: null, message: `yes: ${question}` }),
    };
    const owed = owedReply({ from: 'anna' });
    const rig = await startControlRig({ parts: { mail, turns, approvals, obligations: owing(owed) } });
    const { token, scope } = rig.turn();
    const client = await connect(environmentOf(rig, token));
    expect(await call(client, 'obligations')).toMatchObject({
      ready: true,
      owed: [{ messageId: owed.messageId }],
    });
    expect(await call(client, 'send', { to: 'anna', body: 'hello' })).toMatchObject({
      messageId: expect.stringMatching(/^msg_/),
      state: 'sent',
    });
    expect(await call(client, 'reply', { replyTo: owed.messageId, body: 'yes' })).toMatchObject({
      state: 'queued',
    });
    expect(await call(client, 'inbox', { limit: 3 })).toMatchObject({ messages: [{ body: 'at most 3' }] });
    expect(await call(client, 'ask_for_approval', { question: 'May I?' })).toMatchObject({
      message: 'yes: May I?',
    });
    expect(await call(client, 'done', { summary: 'all' })).toEqual({ state: 'kept' });
    expect(said).toEqual([[scope.turnId, { outcome: 'done', summary: 'all' }]]);
  });

  test('say what was refused, what was wrong and that the turn is over', async () => {
    const rig = await startControlRig({ parts: { mail } });
    const { token, scope } = rig.turn();
    const client = await connect(environmentOf(rig, token));
    expect(await call(client, 'send', { to: 'nobody', body: 'x' })).toContain(
      'RECIPIENT_UNKNOWN: there is no nobody',
    );
    expect(await call(client, 'send', { to: 'anna', body: 'x', extra: 1 })).toContain('extra');
    expect(await call(client, 'obligations')).toContain('OBLIGATIONS_UNAVAILABLE');
    rig.endpoint.end(scope.turnId);
    expect(await call(client, 'inbox')).toContain('TURN_OVER');
    await rig.endpoint.stop();
    expect(await call(client, 'done', {})).toContain('LOCAL_UNREACHABLE');
  });

  test('are not there outside a turn', async () => {
    await expect(connect({})).rejects.toThrow();
  });
});
