// Pages and screens of the command line: what a person sees of one thing, and of what changes in its place.
import { describe, expect, test } from 'vitest';
import { durationText, fieldLines } from '#services/cli/field-lines.ts';
import { clockText } from '#services/cli/output.ts';
import { frameOf } from '#services/cli/screen.ts';

const NOW = 1_796_032_800_000;

describe('a thing as a page', () => {
  test('says times and durations as people do, and leaves out what is not there', () => {
    const run = {
      runId: 'run_1',
      tenant: 'local',
      title: null,
      labels: [],
      metadata: {},
      leaseMs: 30_000,
      createdAt: NOW - 240_000,
      expiresAt: NOW + 60_000,
      attempt: 0,
      active: false,
    };
    expect(fieldLines(run, NOW, ['tenant'])).toEqual([
      'runId      run_1',
      'leaseMs    30 s',
      `createdAt  ${clockText(NOW - 240_000)}  (4 min ago)`,
      `expiresAt  ${clockText(NOW + 60_000)}  (in 60 s)`,
      'attempt    0',
      'active     false',
    ]);
  });

  test('shows what is inside further in, and each of several by itself', () => {
    const run = {
      result: { outcome: 'done', summary: 'two\nlines', failure: null, durationMs: 10_090 },
      labels: ['a', 'b'],
      commands: [
        { seq: 1, state: 'completed' },
        { seq: 2, state: 'open', answers: [{ by: 'anna' }] },
      ],
    };
    expect(fieldLines(run, NOW)).toEqual([
      'result    outcome     done',
      '          summary     two',
      '                      lines',
      '          durationMs  10.1 s',
      'labels    a, b',
      'commands  - seq    1',
      '            state  completed',
      '          - seq      2',
      '            state    open',
      '            answers  - by  anna',
    ]);
  });

  test('counts short durations finely', () => {
    expect([0, 430, 1000, 119_960, 240_000].map(durationText)).toEqual([
      '0 ms',
      '430 ms',
      '1 s',
      '120 s',
      '4 min',
    ]);
  });
});

describe('a screen', () => {
  const shown = (text: string, rows: number, columns: number): string[] =>
    frameOf(text, { rows, columns })
      // oxlint-disable-next-line no-control-regex -- the sequences of a terminal are control characters
      .replaceAll(/\u001b\[[HJK]/g, '')
      .split('\n');

  test('begins in the corner, writes over each line and clears what is left below', () => {
    expect(frameOf('one\ntwo', { rows: 24, columns: 80 })).toBe('\u001b[Hone\u001b[K\ntwo\u001b[K\n\u001b[J');
  });

  test('is never larger than the terminal, and says what it leaves out', () => {
    const lines = Array.from({ length: 30 }, (_, at) => `line ${at}`).join('\n');
    const there = shown(lines, 10, 80);
    expect(there).toHaveLength(10);
    expect(there.slice(-3)).toEqual(['line 7', '… and 22 more lines: a higher window shows them', '']);
    expect(shown('x'.repeat(100), 10, 20)[0]).toBe(`${'x'.repeat(19)}…`);
    expect(shown(lines.split('\n').slice(0, 9).join('\n'), 10, 80).at(-2)).toBe('line 8');
  });
});
