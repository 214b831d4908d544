// Files of policies: what they say, what is shown of a change, and every mistake in one message with its line.
import { expect, test } from 'vitest';
import { newAgentsOf } from '#services/cli/policy-agents.ts';
import { nextStep } from '#services/cli/agent-next.ts';
import { changesOf, diffLines } from '#services/cli/policy-diff.ts';
import { readPolicyFile, writePolicyFile } from '#services/cli/policy-file.ts';
import { cronProblem, lastCronAt, nextCronAt } from '#libs/cron/cron.ts';
import type { ManagedAgentView } from '#streams/policy-views.ts';
import { POLICY_VIEW_EXAMPLE } from '#streams/generate-policy-examples.ts';
import { configOf } from '#streams/policy-config.ts';

const GOOD = `policies:
  builder:
    mode: on-demand
    provider: claude
    keepAliveSeconds: 900
  nightly:
    mode: scheduled
    schedule: { cron: "0 3 * * *", timeZone: Europe/Berlin }
`;

test('IM-28 a file is read with what counts where it says nothing', () => {
  const policies = readPolicyFile(GOOD, 'p.yaml');
  expect(Object.keys(policies)).toEqual(['builder', 'nightly']);
  const { builder } = policies;
  expect(builder === undefined ? undefined : configOf('builder', builder)).toMatchObject({
    agent: 'builder',
    provider: 'claude',
    keepAliveSeconds: 900,
    backoff: { scheduleSeconds: [5, 15, 60, 300], jitter: 0.2, resetAfterSeconds: 600 },
    limits: { restarts: 10, runs: 0 },
  });
});

test('IM-28 every mistake of a file is told at once, each with its line', () => {
  const bad = `policies:
  builder:
    mode: sometimes
    provder: claude
    backoff: { jitter: 7 }
  Nightly:
    mode: always-on
  weekly:
    mode: scheduled
  hourly:
    mode: scheduled
    schedule: { cron: "99 * * * *" }
`;
  expect(() => readPolicyFile(bad, 'p.yaml')).toThrow(
    expect.objectContaining({
      code: 'POLICY_FILE_INVALID',
      message: expect.stringMatching(
        /p\.yaml has 6 mistakes; nothing was applied\n {2}p\.yaml:3: .*mode.*\n {2}p\.yaml:4: .*provder: there is no such field; did you mean provider\?\n {2}p\.yaml:5: .*jitter.*\n {2}p\.yaml:6: .*\n {2}p\.yaml:8: .*schedule.*\n {2}p\.yaml:12: policies\.hourly\.schedule: .*/,
      ) as string,
    }) as Error,
  );
});

test('IM-28 a list in the place of names is told how it is written', () => {
  expect(() => readPolicyFile('policies:\n  - name: heron\n', 'p.yaml')).toThrow(
    /heron: \{ mode: always-on.*not a list/,
  );
});

test('mistakes of YAML, of calendars and of agents that two policies name have their lines as well', () => {
  expect(() => readPolicyFile('policies:\n  a: {mode: always-on\n', 'p.yaml')).toThrow(/p\.yaml:[23]: /);
  expect(() => readPolicyFile('policies:\n  a: {mode: paused}\n  a: {mode: paused}\n', 'p.yaml')).toThrow(
    /p\.yaml:3: a: it is there already, at line 2/,
  );
  // What is written twice hides no other mistake.
  const both = 'policies:\n  a: {mode: paused}\n  a: {mode: paused}\n  b: {mode: never}\n';
  expect(() => readPolicyFile(both, 'p.yaml')).toThrow(
    /2 mistakes.*\n.*p\.yaml:3: .*\n.*p\.yaml:4: policies\.b\.mode/,
  );
  const calendar = 'policies:\n  a:\n    mode: scheduled\n    schedule: { cron: "61 * * * *" }\n';
  expect(() => readPolicyFile(calendar, 'p.yaml')).toThrow(/p\.yaml:4: policies\.a\.schedule: .*minute/);
  const twice = 'policies:\n  a: { mode: paused }\n  b:\n    mode: paused\n    agent: a\n';
  expect(() => readPolicyFile(twice, 'p.yaml')).toThrow(
    /p\.yaml:5: policies\.b\.agent: a is the agent of a already/,
  );
  expect(() => readPolicyFile('- 1\n', 'p.yaml')).toThrow(
    /p\.yaml:1: the file: expected "policies:" .*not array/,
  );
  expect(() => readPolicyFile('', 'p.yaml')).toThrow(/p\.yaml:1: the file: .* not an empty file/);
});

test('what a file changes is shown field by field, and what is shown can be applied again', () => {
  const { config } = POLICY_VIEW_EXAMPLE;
  const text = writePolicyFile('builders', config);
  const known = new Map([['builders', POLICY_VIEW_EXAMPLE]]);
  expect(diffLines(changesOf(readPolicyFile(text, 'p.yaml'), known))).toEqual([
    '  builders: as it is (version 1)',
  ]);
  const changed = readPolicyFile(text.replace('keepAliveSeconds: 900', 'keepAliveSeconds: 60'), 'p.yaml');
  expect(
    diffLines(changesOf({ ...changed, fresh: { ...config, agent: 'fresh' } }, known)).slice(0, 3),
  ).toEqual(['~ builders: version 1 changes', '    keepAliveSeconds: 900 → 60', '+ fresh: new']);
});

test('calendars know time zones and days that miss an hour', () => {
  const berlin = { cron: '30 2 * * *', timeZone: 'Europe/Berlin' };
  // oxlint-disable-next-line no-restricted-globals -- a written time, not the present one
  const at = (text: string): number => Date.parse(text);
  expect(nextCronAt(berlin, at('2026-03-28T12:00:00Z'))).toBe(at('2026-03-29T01:00:00Z'));
  expect(nextCronAt(berlin, at('2026-03-29T12:00:00Z'))).toBe(at('2026-03-30T00:30:00Z'));
  // A time that a day has twice counts once; half hours go on through it.
  const twice = at('2026-10-25T00:30:00Z');
  expect(nextCronAt(berlin, at('2026-10-24T12:00:00Z'))).toBe(twice);
  expect(nextCronAt(berlin, twice)).toBe(at('2026-10-26T01:30:00Z'));
  expect(lastCronAt(berlin, twice, at('2026-10-25T01:30:00Z'))).toBe(null);
  const halves = { cron: '*/30 * * * *', timeZone: 'Europe/Berlin' };
  expect(nextCronAt(halves, at('2026-10-25T00:59:00Z'))).toBe(at('2026-10-25T01:00:00Z'));
  const daily = { cron: '5 0 * * *', timeZone: 'UTC' };
  const due = at('2026-01-01T00:05:00Z');
  expect(lastCronAt(daily, 0, due)).toBe(due);
  expect(lastCronAt(daily, due, due + 1000)).toBe(null);
  expect(lastCronAt(daily, due - 1, due + 999)).toBe(due);
  // Also in the second before the next one.
  expect(lastCronAt(daily, due - 1, due + 86_400_000 - 1)).toBe(due);
  expect(cronProblem(daily)).toBe(undefined);
  expect(cronProblem({ cron: '* * * *', timeZone: 'UTC' })).toMatch(/five fields/);
  expect(cronProblem({ cron: '0 0 * * *', timeZone: 'Mars/X' })).toMatch(/no time zone "Mars\/X"/);
  expect(cronProblem({ cron: '61 0 * * *', timeZone: 'Mars/X' })).toMatch(/no time zone "Mars\/X".*minute/);
});

test('agents that nobody has made are found once each, by their own name or that of their policy', () => {
  const changes = [
    { policy: 'builder', input: {} },
    { policy: 'night', input: { agent: 'owl' } },
    { policy: 'day', input: { agent: 'owl' } },
  ];
  expect(newAgentsOf(changes, [])).toEqual(['builder', 'owl']);
  expect(newAgentsOf(changes, ['owl', 'builder-1'])).toEqual(['builder']);
});

test('why an agent that does not run says what will start it', () => {
  const base = { keepAliveSeconds: 0, schedule: { cron: '0 3 * * *', timeZone: 'UTC', graceSeconds: 60 } };
  const next = (
    mode: 'always-on' | 'on-demand' | 'scheduled' | 'paused',
    desired: ManagedAgentView['desired'],
  ) =>
    nextStep(
      { policy: 'heron', state: 'stopped', desired },
      { ...base, mode },
      {
        now: 0,
        clockText: (at) => `${at / 3_600_000} h`,
      },
    );
  expect(next('on-demand', 'by-mode')).toContain('fleetlog send policy:heron');
  expect(next('scheduled', 'by-mode')).toContain('at 3 h');
  expect(next('always-on', 'stopped')).toContain('fleetlog start heron');
  expect(next('always-on', 'paused')).toContain('fleetlog resume heron');
  expect(next('paused', 'by-mode')).toContain('apply another one');
});
