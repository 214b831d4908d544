// What a runner says for those who run it, and that no output of a program can break the reading of it.
import {
  anything,
  array,
  assert,
  constantFrom,
  oneof,
  property,
  record,
  string,
  uint8Array,
} from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { createLogger } from '#libs/telemetry/logger.ts';
import { logOutbox, logTurn } from '#services/runner/log-lines.ts';
import { createClaudeReader } from '#services/runner/providers/claude/claude-reader.ts';
import { createCodexReader } from '#services/runner/providers/codex/codex-reader.ts';
import { EXEC_PROTOCOL } from '#services/runner/providers/exec/exec-provider.ts';
import type { Line } from '#services/runner/providers/line-splitter.ts';
import { propertyRuns } from '#test/support/seeds.ts';

describe('the log of a runner', () => {
  const setUp = (write?: () => void) => {
    const lines: Record<string, unknown>[] = [];
    const sink = {
      write: (line: string) => {
        lines.push(JSON.parse(line) as Record<string, unknown>);
        write?.();
      },
    };
    const logger = createLogger({ level: 'info', format: 'json', clock: createManualClock(), sink });
    return { logger, lines };
  };
  const result = {
    outcome: 'failed',
    failure: { kind: 'provider-failed', message: 'no' },
    exitCode: 1,
    signal: null,
    summary: '',
    durationMs: 5,
    events: 1,
  } as const;

  const calls = { gatheringCalls: 4, totalToolCalls: 6 };

  test('TR-39 RN-14 a line has its time, its level, what happened and to which run; what matters is a warning or an error', () => {
    const { logger, lines } = setUp();
    logTurn(logger)({ kind: 'finished', runId: 'run_1', result, leftovers: 2, calls });
    logTurn(logger)({ kind: 'away', runId: 'run_1', message: 'no answer' });
    logTurn(logger)({ kind: 'phase', runId: 'run_1', state: { phase: 'over', end: 'lost' } });
    logOutbox(logger)({ kind: 'storage-failed', code: 'OUTBOX_DISK_FULL', message: 'full' });
    logOutbox(logger)({ kind: 'unreadable-row', sourceSeq: 4, problem: 'bad' });
    expect(lines.map(({ level, message }) => [level, message])).toEqual([
      ['info', 'turn: finished'],
      ['warn', 'turn: nobody answers'],
      ['warn', 'turn: the run is not ours any more'],
      ['warn', 'buffer: storage-failed'],
      ['error', 'buffer: unreadable-row'],
    ]);
    expect(lines[0]).toMatchObject({
      runId: 'run_1',
      context: '0.67 (4/6)',
      outcome: 'failed',
      leftovers: 2,
      time: expect.anything(),
    });
  });

  test('TR-39 prompts and texts are never in it', () => {
    const { logger, lines } = setUp();
    logTurn(logger)({
      kind: 'finished',
      runId: 'run_1',
      result: { ...result, summary: 'the words of the agent' },
      leftovers: 0,
      calls,
    });
    expect(JSON.stringify(lines)).not.toContain('the words of the agent');
  });
});

describe('the reading of a program', () => {
  const readers = {
    exec: () => EXEC_PROTOCOL.createReader({ workspace: '/w' }),
    claude: () => createClaudeReader({ workspace: '/w' }),
    codex: () => createCodexReader({ workspace: '/w' }),
  };
  const types = [
    'system',
    'assistant',
    'user',
    'result',
    'text',
    'usage',
    'tool-started',
    'thread.started',
    'item.completed',
    'turn.completed',
    'error',
  ];
  const shaped = record({
    type: constantFrom(...types),
    subtype: anything(),
    message: anything(),
    item: anything(),
    text: anything(),
    usage: anything(),
    outcome: anything(),
  });
  const line = oneof(
    uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    string({ maxLength: 200 }).map((text) => Buffer.from(text)),
    anything().map((value) => Buffer.from(JSON.stringify(value) ?? '')),
    shaped.map((value) => Buffer.from(JSON.stringify(value))),
  );
  const lines = array(record({ bytes: line, cutBytes: constantFrom(0, 0, 0, 7) }), { maxLength: 30 });

  test.each(Object.entries(readers))(
    'TR-29 %s: no line makes it fail, and every line that is not understood is kept',
    (_, create) => {
      assert(
        property(lines, (printed: readonly Line[]) => {
          const reader = create();
          for (const one of printed)
            for (const meaning of reader.read(one)) {
              expect(['event', 'closing', 'usage']).toContain(meaning.kind);
              if (meaning.kind === 'event' && meaning.event.kind === 'unknown-line')
                expect(meaning.event.reason).not.toBe('');
            }
          reader.session('');
        }),
        propertyRuns(300),
      );
    },
  );
});
