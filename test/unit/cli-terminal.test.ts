// What a terminal is given of texts that agents and people wrote.
import { expect, test } from 'vitest';
import { entryLine } from '#services/cli/entry-line.ts';
import { withoutControls } from '#services/cli/output.ts';
import { encodeReport } from '#streams/report-codec.ts';

test('a text cannot move the cursor or change colours, and keeps its lines and letters', () => {
  expect(withoutControls('\u001b[2J\u009b31mred\u0007\r')).toBe('\ufffd[2J\ufffd31mred\ufffd\ufffd');
  expect(withoutControls('two\n\tlines – žluť 🐦')).toBe('two\n\tlines – žluť 🐦');
});

test('a report of what was used says how much', () => {
  const ids = {
    runId: 'run_01KAJ5M8E0R3YV1D6C2T9ZQ4XB',
    sessionId: 'ses_01KAJ5M8E0H7N2WQ5F8P1KDT6S',
    turnId: 'trn_01KAJ5M8ZG4C6E8G0J2M4P6R8T',
  };
  const meta = {
    boundary: { tenant: 'local', project: 'main' },
    agent: 'builder-1',
    id: 'evt_01KAJ5M8E0H7N2WQ5F8P1KDT6S',
    source: '/runner/builder-1',
    timeMs: 0,
    actor: 'agent:builder-1',
    fence: 1,
  };
  const entry = encodeReport('usage', { ...ids, usage: { inputTokens: 12, outputTokens: 3 } }, meta);
  const line = entryLine({
    ...entry,
    headers: { ...entry.headers, 'Nats-Msg-Id': entry.id },
    stream: 'EVENTS',
    seq: 7,
    storedAt: 27_082_104,
  });
  expect(line).toMatch(/^07:31:22\.104Z EVENTS +7 +builder-1 +turn\.usage +inputTokens 12 · outputTokens 3$/);
});
