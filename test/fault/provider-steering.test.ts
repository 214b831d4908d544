// Words to programs while they work: exec programs that read them, agents of the Agent Client Protocol, Claude Code by its lines.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import type { WordsAnswer } from '#services/runner/turn-commands.ts';
import { createClaudeProvider } from '#services/runner/providers/claude/claude-provider.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import { acpRig } from '#test/support/acp-rig.ts';
import { scratchDir } from '#test/support/broker.ts';
import { startExec } from '#test/support/exec-turn.ts';

const isText =
  (text: string) =>
  (event: ProviderEvent): boolean =>
    event.kind === 'text' && event.text.includes(text);
const textsOf = (events: readonly ProviderEvent[]): string =>
  events.flatMap((event) => (event.kind === 'text' ? [event.text] : [])).join('|');

/** Says that it reads words, and ends with the first that it gets. */
const STEERABLE = `
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
const say = (line) => console.log(JSON.stringify(line));
process.stdin.resume();
process.stdin.on('end', () => {
  say({ type: 'steerable' });
  say({ type: 'text', text: 'working' });
  createInterface({ input: createReadStream(null, { fd: 3 }) }).on('line', (line) => {
    const { type, commandId, text } = JSON.parse(line);
    say({ type: 'text', text: [type, commandId, text].join(' ') });
    say({ type: 'result', outcome: 'done', summary: text });
  });
});
`;
const node = (source: string): string[] => [process.execPath, '--input-type=module', '-e', source];

describe('an exec program', () => {
  test('that says so gets words as lines on its file descriptor 3', async () => {
    const run = startExec(node(STEERABLE));
    const { turn, events } = run;
    await run.seen(isText('working'));
    expect(await turn.steer?.('look left\nand right', 'cmd_1')).toEqual({ kind: 'taken' });
    expect(await turn.ended).toMatchObject({ closing: { outcome: 'done' }, exit: { code: 0 } });
    expect(textsOf(events)).toContain('steer cmd_1 look left\nand right');
    expect(await turn.steer?.('too late', 'cmd_2')).toMatchObject({ kind: 'refused', code: 'TURN_OVER' });
  });

  test('that has just begun is waited for', async () => {
    const { turn } = startExec(node(STEERABLE));
    expect(await turn.steer?.('early', 'cmd_1')).toEqual({ kind: 'taken' });
    expect((await turn.ended).closing?.summary).toBe('early');
  });

  test('that reads no words is left in peace: its input ends with the prompt, and words are refused', async () => {
    const { turn, events } = startExec([
      'sh',
      '-c',
      'cat >/dev/null; printf "%s\\n" \'{"type":"text","text":"prompt read"}\'; sleep 0.3',
    ]);
    expect(await turn.steer?.('hello', 'cmd_1')).toMatchObject({ kind: 'refused', code: 'TURN_OVER' });
    expect((await turn.ended).exit).toEqual({ code: 0, signal: null });
    expect(textsOf(events)).toBe('prompt read');
  });

  /** Reads words, and says of each that it has taken it up, but for one that says `deaf`. */
  const ACKNOWLEDGING = STEERABLE.replace(
    "type: 'steerable' }",
    "type: 'steerable', acknowledges: true }",
  ).replace(
    'const { type, commandId, text } = JSON.parse(line);',
    "const { type, commandId, text } = JSON.parse(line); if (text === 'deaf') process.exit(0); say({ type: 'steered', commandId });",
  );

  test('that acknowledges words is given what must not get lost, and has it when it says so', async () => {
    const { turn } = startExec(node(ACKNOWLEDGING));
    expect(await turn.deliver?.('some mail', 'bat_1')).toEqual({ kind: 'taken' });
    expect((await turn.ended).closing?.summary).toBe('some mail');
  });

  test('that ends without having acknowledged has not taken it', async () => {
    const { turn } = startExec(node(ACKNOWLEDGING));
    expect(await turn.deliver?.('deaf', 'bat_1')).toMatchObject({ kind: 'refused', code: 'TURN_OVER' });
    await turn.ended;
  });

  test('that acknowledges words has taken up those of a person when it says so, and not before', async () => {
    const outcomeOf = async (given: Promise<WordsAnswer> | undefined): Promise<WordsAnswer | undefined> => {
      const answer = await given;
      expect(answer?.kind).toBe('given');
      return answer?.kind === 'given' ? answer.outcome : undefined;
    };
    const taken = startExec(node(ACKNOWLEDGING));
    expect(await outcomeOf(taken.turn.steer?.('look left', 'cmd_1'))).toEqual({ kind: 'taken' });
    await taken.turn.ended;
    const deaf = startExec(node(ACKNOWLEDGING));
    await deaf.seen(isText('working'));
    const words = [deaf.turn.steer?.('deaf', 'cmd_1'), deaf.turn.steer?.('behind it', 'cmd_2')];
    for (const given of words) expect(await outcomeOf(given)).toMatchObject({ code: 'TURN_OVER' });
    await deaf.turn.ended;
  });

  test('that acknowledges nothing is not given it', async () => {
    const run = startExec(node(STEERABLE));
    await run.seen(isText('working'));
    expect(await run.turn.deliver?.('some mail', 'bat_1')).toMatchObject({ code: 'STEER_UNSUPPORTED' });
    run.turn.stop('interrupt');
    await run.turn.ended;
  });

  test('that dies with its words unread breaks nothing', async () => {
    const run = startExec(
      node(`console.log('{"type":"steerable"}'); console.log('{"type":"text","text":"up"}');
      setInterval(() => {}, 1000);`),
    );
    const { turn } = run;
    await run.seen(isText('up'));
    for (let at = 0; at < 50; at += 1) await turn.steer?.('x'.repeat(100_000), `cmd_${at}`);
    turn.stop('interrupt');
    expect(await turn.ended).toMatchObject({ stopped: 'interrupt', exit: { signal: 'SIGTERM' } });
  });
});

describe('an agent of the Agent Client Protocol', () => {
  const more = JSON.stringify([{ say: 'steered' }]);
  test('is cancelled and told, in one turn of one process', async () => {
    const rig = acpRig();
    const { turn, seen, events } = rig.start([{ say: 'working' }, { hang: true }]);
    await seen(isText('working'));
    expect(await turn.steer?.(more, 'cmd_1')).toEqual({ kind: 'taken' });
    expect(await turn.ended).toMatchObject({ closing: { outcome: 'done' }, stopped: null, exit: null });
    expect(textsOf(events)).toMatch(/working.*steered/s);
    expect(rig.log().filter((line) => line === 'cancel')).toHaveLength(1);
    expect(await turn.steer?.(more, 'cmd_2')).toMatchObject({ kind: 'refused', code: 'TURN_OVER' });
  });

  test('is told behind what it does, or not at all, where that is the setting', async () => {
    const queued = acpRig({ settings: { steering: 'queue' } });
    const { turn, seen, events } = queued.start([
      { say: 'working' },
      { request: { method: 'wait', params: {} } },
    ]);
    await seen(isText('working'));
    const taken = turn.steer?.(more, 'cmd_1');
    expect(await turn.ended).toMatchObject({ closing: { outcome: 'done' } });
    expect(await taken).toEqual({ kind: 'taken' });
    expect(textsOf(events)).toMatch(/working.*steered/s);
    expect(queued.log()).not.toContain('cancel');
    const deaf = acpRig({ settings: { steering: 'none' } }).start([{ say: 'working' }]);
    expect(await deaf.turn.steer?.(more, 'cmd_1')).toMatchObject({ code: 'STEER_UNSUPPORTED' });
    await deaf.turn.ended;
  });

  test('is interrupted as it is cancelled: its process goes on', async () => {
    const rig = acpRig();
    const { turn, seen } = rig.start([{ say: 'working' }, { hang: true }]);
    await seen(isText('working'));
    turn.stop('interrupt');
    expect(await turn.ended).toMatchObject({ stopped: 'interrupt', exit: null });
  });
});

/** Prints what it is told as Claude Code does: a result for each message, and its end with its input. */
const CLAUDE_LIKE = `
import { createInterface } from 'node:readline';
const say = (line) => console.log(JSON.stringify(line));
say({ type: 'system', subtype: 'init', session_id: 'conversation-1', cwd: '.' });
let open = 0;
createInterface({ input: process.stdin }).on('line', (line) => {
  const { message, uuid } = JSON.parse(line);
  say({ type: 'command_lifecycle', command_uuid: uuid, state: 'queued' });
  say({ type: 'command_lifecycle', command_uuid: uuid, state: 'started' });
  say({ type: 'assistant', message: { content: [{ type: 'text', text: message.content }] } });
  open += 1;
  const wait = message.content === 'work' ? 300 : 0;
  setTimeout(() => {
    open -= 1;
    if (open === 0) say({ type: 'result', subtype: 'success', is_error: false, result: 'all done' });
  }, wait);
});
`;

describe('Claude Code', () => {
  const start = (prompt: string, source: string) => {
    const events: ProviderEvent[] = [];
    const heard = Promise.withResolvers<void>();
    const workspace = scratchDir('claude');
    const file = join(workspace, 'claude.mjs');
    writeFileSync(file, source);
    const turn = createClaudeProvider(systemClock, true).start(
      {
        workspace,
        prompt,
        program: [process.execPath, file],
        environment: { PATH: readEnvironment()['PATH'] ?? '', FLEETLOG_TURN: systemIds.ulid() },
        mark: 'FLEETLOG_TURN',
        limits: { turnTimeoutMs: 20_000, silenceMs: 0, killAfterMs: 500, lingerMs: 5000 },
      },
      async (event) => {
        events.push(event);
        if (event.kind === 'text') heard.resolve();
      },
    );
    return { turn, events, heard: heard.promise };
  };

  test('gets its prompt and its words as lines, and its input ends with its result', async () => {
    const { turn, events, heard } = start('work', CLAUDE_LIKE);
    await heard;
    expect(await turn.steer?.('and that', 'cmd_1')).toMatchObject({ kind: 'given' });
    expect(await turn.ended).toMatchObject({
      closing: { outcome: 'done', summary: 'all done' },
      exit: { code: 0 },
    });
    expect(textsOf(events)).toBe('work|and that');
  });

  test('is given what must not get lost, and has it when it says that it has begun with it', async () => {
    const { turn, heard } = start('work', CLAUDE_LIKE);
    await heard;
    expect(await turn.deliver?.('some mail', 'bat_1')).toEqual({ kind: 'taken' });
    await turn.ended;
    const older = CLAUDE_LIKE.replaceAll(/^ {2}say\(\{ type: 'command_lifecycle'.*$/gm, '');
    const deaf = start('work', older);
    await deaf.heard;
    expect(await deaf.turn.deliver?.('some mail', 'bat_2')).toMatchObject({ kind: 'refused' });
    await deaf.turn.ended;
  });

  test('that goes on after an answer is started without a word', async () => {
    const { turn } = start('', 'process.stdin.on("end", () => process.exit(3)).resume()');
    expect((await turn.ended).exit).toEqual({ code: 3, signal: null });
  });
});
