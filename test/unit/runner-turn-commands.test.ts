// What a running turn is told, with the program's answers and the reports in memory.
import { expect, test } from 'vitest';
import type { ReportWriter, TurnScope } from '#services/runner/report-writer.ts';
import {
  TurnCommands,
  type SteerAnswer,
  type TurnCommand,
  type WordsAnswer,
} from '#services/runner/turn-commands.ts';

const scope: TurnScope = {
  runId: 'run_1',
  sessionId: 'ses_1',
  turnId: 'trn_1',
  commandId: 'cmd_0',
  fence: 1,
};
const steer = (commandId: string): TurnCommand => ({
  kind: 'steer',
  data: { runId: 'run_1', fence: 1, commandId, text: `words of ${commandId}` },
});
const interrupt: TurnCommand = {
  kind: 'interrupt',
  data: { runId: 'run_1', fence: 1, commandId: 'cmd_stop', reason: '' },
};

const setUp = () => {
  const told: string[] = [];
  const given = new Map<string, (answer: SteerAnswer) => void>();
  const writer = {
    write: async (
      _: TurnScope,
      name: string,
      said: { readonly commandId: string; readonly state?: string },
    ) => void told.push([name, said.commandId, said.state].join(' ').trim()),
  } as unknown as ReportWriter;
  const commands = new TurnCommands({
    writer,
    clock: { now: () => 1 },
    interrupt: () => true,
    onFatal: (error) => {
      throw error;
    },
  });
  commands.claimed(scope);
  const give = async (_: string, id: string): Promise<WordsAnswer> => {
    const { promise: outcome, resolve } = Promise.withResolvers<SteerAnswer>();
    given.set(id, resolve);
    return { kind: 'given', outcome };
  };
  return { commands, give, given, told };
};

test('words reach the program in their order, and what it takes up late holds up nothing else', async () => {
  const { commands, give, given, told } = setUp();
  commands.take(steer('cmd_1'));
  commands.started(give);
  commands.take(steer('cmd_2'));
  commands.take(interrupt);
  expect([...given.keys()]).toEqual(['cmd_1', 'cmd_2']);
  await expect.poll(() => told).toHaveLength(3);
  expect(told.toSorted()).toEqual(['cmd_1', 'cmd_2', 'cmd_stop'].map((id) => `command-acknowledged ${id}`));
  given.get('cmd_2')?.({ kind: 'taken' });
  await expect.poll(() => told[3]).toBe('command-finished cmd_2 completed');
});

test('the end of the turn is told after what became of all words', async () => {
  const { commands, give, given, told } = setUp();
  commands.started(give);
  commands.take(steer('cmd_1'));
  const ended = commands.ended().then(() => told.push('ended'));
  given.get('cmd_1')?.({ kind: 'refused', code: 'TURN_OVER', message: 'too late' });
  await ended;
  expect(told).toEqual(['command-acknowledged cmd_1', 'command-finished cmd_1 failed', 'ended']);
});
