// The version of the lines of `exec` programs: what a program that says another one may not be taken to have said.
import { expect, test } from 'vitest';
import { systemClock } from '#libs/system/clock.ts';
import {
  createExecProvider,
  EXEC_PROTOCOL,
  LINES_VARIABLE,
  LINES_VERSION,
} from '#services/runner/providers/exec/exec-provider.ts';
import type { LineMeaning } from '#services/runner/providers/program-reader.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';

const read = (...lines: readonly object[]): LineMeaning[] => {
  const reader = EXEC_PROTOCOL.createReader({ workspace: '/w' });
  return lines.flatMap((line) => reader.read({ bytes: Buffer.from(JSON.stringify(line)), cutBytes: 0 }));
};
const done = { type: 'result', outcome: 'done', summary: 'all of it' };

test('RN-20 a program that says the version that the runner knows is read as one that says none', () => {
  expect(read({ type: 'hello', lines: LINES_VERSION }, done)).toEqual(read(done));
});

test('RN-20 one that says another fails its turn with both numbers, and what follows is kept and not understood', () => {
  const [closing, ...rest] = read({ type: 'hello', lines: 2 }, { type: 'text', text: 'hi' }, done);
  expect(closing).toMatchObject({ kind: 'closing', closing: { outcome: 'failed' } });
  expect(JSON.stringify(closing)).toMatch(/version 2 .* knows 1/);
  expect(rest).toMatchObject([
    { kind: 'event', event: { kind: 'unknown-line', line: '{"type":"text","text":"hi"}' } },
    { kind: 'event', event: { kind: 'unknown-line' } },
  ]);
});

test.each([{ lines: 0 }, { lines: 1.5 }, { lines: '1' }, {}])(
  'RN-20 a version that is none (%j) is a line that is not understood',
  (more) => {
    expect(read({ type: 'hello', ...more })).toMatchObject([{ event: { kind: 'unknown-line' } }]);
  },
);

test('RN-20 a real program of another version fails with exit code 0 and a result', async () => {
  const events: ProviderEvent[] = [];
  const script = `cat >/dev/null; echo '{"type":"hello","lines":9}'; echo '${JSON.stringify(done)}'`;
  const turn = createExecProvider(systemClock).start(
    {
      workspace: '/',
      prompt: 'p',
      program: ['/bin/sh', '-c', script],
      environment: { PATH: '/usr/bin:/bin', FLEETLOG_TURN: 'trn_version', [LINES_VARIABLE]: '1' },
      mark: 'FLEETLOG_TURN',
      limits: { turnTimeoutMs: 30_000, silenceMs: 0, killAfterMs: 1000, lingerMs: 5000 },
    },
    async (event) => void events.push(event),
  );
  expect(await turn.ended).toMatchObject({ closing: { outcome: 'failed' }, exit: { code: 0 } });
  expect(events.map(({ kind }) => kind)).toEqual(['unknown-line']);
});
