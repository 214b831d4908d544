// What a host may still take, in the memory of the lifecycle service: words come together and late, and a start may be over before the next one.
import { expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { HostBoard } from '#services/lifecycle/host-board.ts';
import { policyConfigSchema } from '#streams/policy-config.ts';

const boundary = { tenant: 'local', project: 'main' };
const config = policyConfigSchema.parse({
  mode: 'always-on',
  agent: 'heron',
  provider: 'exec',
  host: 'forge',
});

/** A host for two, and its words. */
const world = () => {
  const clock = createManualClock();
  const board = new HostBoard(clock);
  let startedAt = clock.now();
  /** Another process of the host. */
  const restart = (): void => {
    startedAt = clock.now();
  };
  const word = (...spawnIds: string[]): Uint8Array =>
    Buffer.from(
      JSON.stringify({
        labels: [],
        providers: ['exec'],
        capacity: 2,
        freeMemoryBytes: 1e9,
        startedAt,
        runners: spawnIds.map((spawnId) => ({ spawnId })),
      }),
    );
  const give = (spawnId: string, policy: string): void => board.give(boundary, 'forge', { spawnId, policy });
  const over = (policy: string): boolean => board.over(boundary, 'forge', policy, clock.now());
  board.notePresence(boundary, 'forge', word());
  const hasRoom = (): boolean => board.choose(boundary, config).kind === 'host';
  return { clock, board, word, give, over, hasRoom, restart };
};

test('what was given counts until the host shows it, or for a minute', async () => {
  const { clock, board, word, give, hasRoom } = world();
  give('a', 'one');
  give('b', 'two');
  expect(hasRoom()).toBe(false);
  board.notePresence(boundary, 'forge', word('a'));
  expect(hasRoom()).toBe(false);
  await clock.advance(60_001);
  expect(hasRoom()).toBe(true);
});

test('a start that was over before the next word of its host counts no longer', async () => {
  const { clock, give, over, hasRoom } = world();
  give('a', 'one');
  give('b', 'two');
  await clock.advance(100);
  expect(over('one')).toBe(true);
  expect(hasRoom()).toBe(true);
  expect(over('one')).toBe(false);
});

test('a start that was given after a policy had nobody is not that one', async () => {
  const { clock, board, give, hasRoom } = world();
  const stoppedAt = clock.now();
  await clock.advance(100);
  give('a', 'one');
  give('b', 'two');
  expect(board.over(boundary, 'forge', 'one', stoppedAt)).toBe(false);
  expect(hasRoom()).toBe(false);
});

test('what has run out is more room for those who wait, at the next word', async () => {
  const { clock, board, word, give, hasRoom } = world();
  give('a', 'one');
  give('b', 'two');
  expect(hasRoom()).toBe(false);
  await clock.advance(60_001);
  expect(board.noteRoom(boundary, 'forge', word())).toBe(true);
});

test('a host whose process is being stopped is given nothing until its next process is heard of', async () => {
  const { clock, board, word, hasRoom, restart } = world();
  await clock.advance(100);
  board.leaving(boundary, 'forge', clock.now());
  expect(hasRoom()).toBe(false);
  expect(board.choose(boundary, config)).toMatchObject({
    code: 'HOST_OFFLINE',
    message: expect.stringContaining('is being stopped') as string,
  });
  expect(board.noteRoom(boundary, 'forge', word())).toBe(false);
  expect(board.noteRoom(boundary, 'forge', undefined)).toBe(false);
  await clock.advance(100);
  restart();
  expect(board.noteRoom(boundary, 'forge', word())).toBe(true);
  expect(hasRoom()).toBe(true);
  // What the last process reported comes late.
  board.leaving(boundary, 'forge', clock.now() - 100);
  expect(hasRoom()).toBe(true);
});
