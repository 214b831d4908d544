// What a runner says of its machine: a name that is one of ours, and what is free; and nothing rather than a wrong word.
import { expect, test } from 'vitest';
import { machineFacts } from '#services/runner/machine-facts.ts';

const probe = (name: string) => ({
  name: () => name,
  freeMemoryBytes: () => 1234.5,
  freeDiskBytes: () => 99,
});

test.each([
  ['Build-Box.example.com', 'build-box'],
  ['_x', 'x'],
  ['größe', 'gr--e'],
  ['...', 'machine'],
  ['a'.repeat(80), 'a'.repeat(64)],
])('a machine that calls itself %s is %s', (own, name) => {
  const look = machineFacts({ name: undefined, workspaceRoot: '/' }, probe(own));
  expect(look()).toEqual({ name, freeMemoryBytes: 1234, freeDiskBytes: 99 });
});

test('the name that people give it counts, and the real machine has something free', () => {
  const facts = machineFacts({ name: 'mine', workspaceRoot: '/' })();
  expect(facts?.name).toBe('mine');
  expect(facts?.freeMemoryBytes).toBeGreaterThan(0);
  expect(facts?.freeDiskBytes).toBeGreaterThan(0);
});

test('a runner that cannot look says nothing', () => {
  expect(machineFacts({ name: 'mine', workspaceRoot: '/nowhere/at/all' })()).toBeUndefined();
});
