// Commands that carry what was looked up for them: decided for the record that it was looked up for, and no other.
import { describe, expect, test } from 'vitest';
import { handleOnSight } from '#libs/commands/handle-on-sight.ts';
import { add, close, commandHarness } from '#test/support/command-harness.ts';

describe('a command with what was looked up for it', () => {
  test('is decided while its aggregate stands as it was looked at, and proven as any other', async () => {
    const { handler, history } = commandHarness();
    const commands = handler();
    const { seq } = await commands.load('a');
    expect(await commands.handleAt(seq, 'a', add(5), { id: '1' })).toMatchObject({
      kind: 'accepted',
      seq: 1,
    });
    expect(await commands.handleAt(1, 'a', close, { id: '2' })).toMatchObject({ kind: 'accepted', seq: 2 });
    expect(await commands.handleAt(2, 'a', close, { id: '3' })).toMatchObject({ kind: 'unchanged', seq: 2 });
    expect(await history('a')).toHaveLength(2);
  });

  test('is not decided when another writer was faster: seen by the append, by the look before a refusal, or from memory', async () => {
    const { handler, history } = commandHarness();
    const [one, other] = [handler(), handler()];
    await one.handle('a', add(1), { id: '1' });
    await other.handle('a', add(2), { id: '2' });
    const moved = { kind: 'moved', state: { sum: 3, isClosed: false }, seq: 2 };
    expect(await one.handleAt(1, 'a', add(9), { id: '3' })).toEqual(moved);
    await other.handle('a', close, { id: '4' });
    const closed = { kind: 'moved', state: { sum: 3, isClosed: true }, seq: 3 };
    expect(await one.handleAt(2, 'a', add(1001), { id: '5' })).toEqual(closed);
    expect(await one.handleAt(2, 'a', add(1), { id: '6' })).toEqual(closed);
    expect(await history('a')).toHaveLength(3);
  });

  test('that is repeated after the record went on gives its first answer, and a newer look than memory is caught up with', async () => {
    const { handler } = commandHarness();
    const [one, other] = [handler(), handler()];
    await one.handleAt(0, 'a', add(1), { id: '1' });
    await other.handle('a', add(2), { id: '2' });
    expect(await one.handleAt(0, 'a', add(1), { id: '1' })).toMatchObject({ seq: 1, repeated: true });
    await other.handle('a', add(3), { id: '3' });
    expect(await one.handleAt(3, 'a', add(4), { id: '4' })).toMatchObject({ kind: 'accepted', seq: 4 });
  });

  test('is looked up anew for each record that it is decided against, and not at all without an occasion', async () => {
    const { handler } = commandHarness();
    const [one, other] = [handler(), handler()];
    const looked: number[] = [];
    const look = async ({ sum }: { readonly sum: number }) => {
      looked.push(sum);
      if (sum < 2) await other.handle('a', add(1), { id: `o${sum}` });
      return sum > 100 ? undefined : add(100);
    };
    const sight = { target: 'a', look };
    expect(await handleOnSight(one, { ...sight, options: { id: '1' } })).toMatchObject({
      kind: 'accepted',
      seq: 3,
    });
    expect(looked).toEqual([0, 1, 2]);
    expect(await handleOnSight(one, { ...sight, options: { id: '2' } })).toBeUndefined();
    const never = {
      ...sight,
      look: async () => (await other.handle('a', add(1), { id: `n${looked.push(0)}` }), add(1)),
    };
    await expect(handleOnSight(one, { ...never, options: { id: '3' } })).rejects.toMatchObject({
      code: 'COMMAND_CONTENDED',
    });
  });
});
