// Whether a host starts what it is told to, and what its runner is then given. Every refusal of the contract has its occasion.
import { expect, test } from 'vitest';
import { askedSettings, chosenByHost } from '#services/host/runner-settings.policy.ts';
import { expiredRefusal, spawnRefusal, type MachineState } from '#services/host/spawn-rules.policy.ts';
import { hostSurroundings } from '#services/host-surroundings.ts';
import { HOST_INSTRUCTION_EXAMPLES } from '#streams/generate-host-examples.ts';

const spawn = HOST_INSTRUCTION_EXAMPLES['agent-spawn'];
const MIB = 1024 * 1024;
const free: MachineState = {
  now: spawn.requestedAt,
  isDraining: false,
  capacity: 2,
  runners: 1,
  runningAs: undefined,
  isReserved: false,
  credentialFile: '/etc/fleetlog/runner-builder-1-password',
  hasCredential: true,
  settingsProblem: undefined,
  freeMemoryBytes: 1024 * MIB,
  memoryFloorBytes: 256 * MIB,
  freeDiskBytes: 1024 * MIB,
  diskFloorBytes: 256 * MIB,
};

test('a machine with room, a password and sound settings takes the spawn', () => {
  expect(spawnRefusal(spawn, free)).toBeUndefined();
});

test.each<[string, Partial<MachineState>, RegExp]>([
  ['COMMAND_EXPIRED', { now: spawn.deadlineAt + 1 }, /1 ms after its deadline/],
  ['CREDENTIAL_MISSING', { hasCredential: false }, /fleetlog agent add builder-1/],
  ['SETTING_REFUSED', { settingsProblem: 'concurrency: expected a number' }, /concurrency/],
  ['AGENT_RUNNING', { runningAs: 'spw_1' }, /spw_1/],
  ['AGENT_RUNNING', { isReserved: true }, /reservedAgents/],
  ['HOST_DRAINING', { isDraining: true }, /drained/],
  ['HOST_FULL', { runners: 2 }, /it takes 2/],
  ['HOST_LOW', { freeMemoryBytes: 100 * MIB }, /100 MiB of memory/],
  ['HOST_LOW', { freeDiskBytes: 100 * MIB }, /100 MiB of disk/],
])('WK-75 LC-05 it is refused as %s', (code, state, message) => {
  const refusal = spawnRefusal(spawn, { ...free, ...state });
  expect(refusal).toMatchObject({ code });
  expect(refusal?.message).toMatch(message);
});

test('a deadline that is this very moment has not passed', () => {
  expect(expiredRefusal(spawn, spawn.deadlineAt)).toBeUndefined();
});

test('LC-07 permission mode and arguments reach the program of the provider, and named settings win', () => {
  expect(askedSettings(spawn)).toEqual({
    mailProvider: 'claude',
    mailWorkspace: 'cart',
    labels: ['gpu'],
    claudeArguments: ['--permission-mode', 'acceptEdits', '--model', 'sonnet'],
    concurrency: 2,
  });
  const {
    permissionMode: _mode,
    workspace: _workspace,
    ...plain
  } = { ...spawn, programArguments: [], labels: [] };
  expect(askedSettings({ ...plain, settings: {} })).toEqual({ mailProvider: 'claude' });
  expect(
    askedSettings({ ...plain, provider: 'exec', programArguments: ['node', 'x.mjs'], settings: {} }),
  ).toEqual({
    mailProvider: 'exec',
    program: ['node', 'x.mjs'],
  });
  expect(askedSettings({ ...spawn, provider: 'codex', settings: {} })).toMatchObject({
    codexArguments: ['-s', 'acceptEdits', '--model', 'sonnet'],
  });
  expect(askedSettings({ ...spawn, provider: 'acp', permissionMode: 'allow', settings: {} })).toMatchObject({
    acpPermissions: 'allow',
    acpArguments: ['--model', 'sonnet'],
  });
});

test('who the runner is and where it keeps things is not for an instruction to choose', () => {
  expect(chosenByHost({ concurrency: 2, dataDir: '/' })).toBe('dataDir');
  expect(chosenByHost({ concurrency: 2 })).toBeUndefined();
});

test('settings are those of the real runner: a wrong or unknown one is named', () => {
  const { settingsProblem } = hostSurroundings();
  const whole = { agent: 'a', dataDir: '/d', workspaceRoot: '/w' };
  expect(settingsProblem({ ...whole, concurrency: 4 })).toBeUndefined();
  expect(settingsProblem({ ...whole, concurrency: 'many' })).toMatch(/concurrency/);
  expect(settingsProblem({ ...whole, concurency: 4 })).toMatch(/concurency/);
});
