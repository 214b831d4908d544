// What an agent types inside a turn: the commands of its mail, its word and its questions, answered by a real control endpoint.
import { describe, expect, test } from 'vitest';
import { runFleetlog } from '#services/command-line.ts';
import type { ApprovalsPart, TurnsPart } from '#services/runner/control/control-parts.ts';
import { mail, owedReply, owing, startControlRig, type ControlRig } from '#test/support/control-rig.ts';
import { recordedTerminal } from '#test/support/recorded-terminal.ts';

interface Said {
  readonly code: number;
  readonly out: string;
  readonly notes: string;
}

const say = async (
  environment: Readonly<Record<string, string>>,
  argv: readonly string[],
  input?: string,
): Promise<Said> => {
  const { terminal, out, note: notes } = recordedTerminal();
  const code = await runFleetlog(argv, {
    terminal,
    environment,
    workingDirectory: '/',
    signal: new AbortController().signal,
    readStandardInput: async () => input,
  });
  return { code, out: out.join('\n'), notes: notes.join('\n') };
};

const environmentOf = (rig: ControlRig): Record<string, string> => ({
  FLEETLOG_CONTROL: rig.address(),
  FLEETLOG_TURN_TOKEN: rig.turn('exec').token,
});

describe('inside a turn an agent', () => {
  test('reads its mail and what it owes, answers and writes', async () => {
    const owed = owedReply({ from: 'anna', subject: 'Which cart?' });
    const rig = await startControlRig({ parts: { mail, obligations: owing(owed) } });
    const environment = environmentOf(rig);
    expect((await say(environment, ['obligations'])).out).toBe(`${owed.messageId} from anna: Which cart?`);
    const answered = await say(environment, ['reply', owed.messageId, 'The blue one.']);
    expect(answered).toMatchObject({ code: 0, out: expect.stringMatching(/^msg_\w+ waits on this machine/) });
    const piped = await say(environment, ['reply', owed.messageId, '--json'], 'The blue one,\nI think.');
    expect(JSON.parse(piped.out)).toMatchObject({ state: 'queued' });
    expect((await say(environment, ['send', 'anna', 'hello', '--needs-reply'])).out).toMatch(
      /^msg_\w+ sent$/,
    );
    expect((await say(environment, ['inbox', '--limit', '3'])).out).toContain(
      'unread, needs a reply\n  at most 3',
    );
  });

  test('says how its work ended, and asks', async () => {
    const said: unknown[] = [];
    const turns: TurnsPart = {
      signalDone: async (_turn, word) => {
        said.push(word);
        return { kind: 'ok', result: { state: 'kept' } };
      },
    };
    const approvals: ApprovalsPart = {
      isAsked: false,
      decide: async () => ({ decision: 'none' }),
      ask: async (_turn, { question }) => ({ isAllowed: false, why: 'reject', message: `not ${question}` }),
    };
    const environment = environmentOf(await startControlRig({ parts: { turns, approvals } }));
    expect((await say(environment, ['done', 'No key.', '--blocked'])).out).toBe('kept');
    expect(said).toEqual([{ outcome: 'blocked', summary: 'No key.' }]);
    expect((await say(environment, ['ask', 'now'])).out).toBe('no: not now');
  });

  test('is told what went wrong, with a code', async () => {
    const rig = await startControlRig({ parts: { mail } });
    const environment = environmentOf(rig);
    expect(await say(environment, ['send', 'nobody', 'x'])).toMatchObject({
      code: 1,
      notes: expect.stringContaining('RECIPIENT_UNKNOWN: there is no nobody; did you mean anna?'),
    });
    expect(await say(environment, ['send', 'anna'], '  ')).toMatchObject({ code: 2 });
    await rig.endpoint.stop();
    const away = await say(environment, ['done', '--json']);
    expect(away.code).toBe(3);
    expect(JSON.parse(away.out)).toMatchObject({ error: { code: 'LOCAL_UNREACHABLE', retry: 'later' } });
  });

  test('is not mistaken for a person, nor a person for it', async () => {
    const environment = environmentOf(await startControlRig({ parts: { mail } }));
    const asPerson = await say(environment, ['done', '--data', '/nowhere']);
    expect(asPerson).toMatchObject({ code: 2, notes: expect.stringContaining("unknown command 'done'") });
    expect(await say({}, ['done'])).toMatchObject({
      code: 2,
      notes: expect.stringContaining('unknown command'),
    });
    expect((await say(environment, ['reply', '--help'])).out).toContain('a reply that is owed');
  });
});
