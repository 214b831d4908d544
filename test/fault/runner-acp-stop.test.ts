// The provider acp when a turn is ended, by whom and however the agent takes it; and what a turn leaves behind.
import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '#libs/system/clock.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import { acpRig, type AcpRig } from '#test/support/acp-rig.ts';

const isText =
  (text: string) =>
  (event: ProviderEvent): boolean =>
    event.kind === 'text' && event.text.includes(text);
const unknown = (events: readonly ProviderEvent[]): readonly string[] =>
  events.flatMap((event) => (event.kind === 'unknown-line' ? [event.reason] : []));
const backgrounds = (rig: AcpRig): number => rig.log().filter((line) => line.startsWith('background')).length;

describe('an end that somebody asks for', () => {
  test('TR-19 a cancel is asked of the agent first, and its process goes on', async () => {
    const rig = acpRig();
    const { turn, seen } = rig.start([{ say: 'working' }, { hang: true }]);
    await seen(isText('working'));
    turn.stop('cancel');
    const facts = await turn.ended;
    expect(facts).toMatchObject({ stopped: 'cancel', closing: null, exit: null });
    expect(rig.log().at(-1)).toBe('cancel');
    const next = await rig.run([{ say: 'next' }], { resume: facts.session as never });
    expect(next.result.outcome).toBe('done');
    expect(rig.log().filter((line) => line.startsWith('started'))).toHaveLength(1);
  });

  test('TR-19 one that does not hear it is ended in the time there is: SIGTERM, then SIGKILL', async () => {
    const rig = acpRig({ limits: { killAfterMs: 400 } });
    const { turn, seen } = rig.start([{ ignoreTerm: true }, { say: 'working' }, { hang: 'deaf' }]);
    await seen(isText('working'));
    const startedMs = systemClock.monotonicMs();
    turn.stop('cancel');
    const facts = await turn.ended;
    expect(facts).toMatchObject({ stopped: 'cancel', exit: { signal: 'SIGKILL' } });
    expect(rig.log().slice(-2)).toEqual(['cancel', 'SIGTERM ignored']);
    expect(systemClock.monotonicMs() - startedMs).toBeGreaterThanOrEqual(390);
    expect(await rig.alive()).toEqual([]);
  });

  test.each(['lease', 'shutdown', 'deadline', 'silence'] as const)(
    'ended for %s its word is not waited for',
    async (reason) => {
      const rig = acpRig();
      const { turn, seen } = rig.start([{ say: 'working' }, { hang: true }]);
      await seen(isText('working'));
      turn.stop(reason);
      const facts = await turn.ended;
      expect(facts).toMatchObject({ stopped: reason, closing: null });
      expect(facts.exit).not.toBeNull();
      expect(await rig.alive()).toEqual([]);
    },
  );

  test('a lease that ends during a cancel leaves no more time', async () => {
    const rig = acpRig({ limits: { killAfterMs: 60_000 } });
    const { turn, seen } = rig.start([{ ignoreTerm: true }, { say: 'working' }, { hang: 'deaf' }]);
    await seen(isText('working'));
    turn.stop('cancel');
    turn.stop('lease', 100);
    expect(await turn.ended).toMatchObject({ stopped: 'cancel', exit: { signal: 'SIGKILL' } });
  });

  test('before there is a prompt nothing is prompted', async () => {
    const rig = acpRig();
    const { turn } = rig.start([{ say: 'never' }]);
    turn.stop('cancel');
    expect(await turn.ended).toMatchObject({ stopped: 'cancel', closing: null });
    expect(rig.log().filter((line) => line.startsWith('prompt'))).toEqual([]);
    expect(await rig.alive()).toEqual([]);
  });

  test('TR-29 events that cannot be kept end it', async () => {
    const rig = acpRig();
    const { turn } = rig.start([{ say: 'x' }, { hang: true }], {
      sink: async (event) => {
        if (event.kind === 'text') throw new Error('disk');
      },
    });
    expect(await turn.ended).toMatchObject({ stopped: 'sink' });
    expect(await rig.alive()).toEqual([]);
  });
});

describe('what a turn has started', () => {
  test('and left in the background is ended with the turn; the agent is not', async () => {
    const rig = acpRig();
    const { facts } = await rig.run([
      { background: {} },
      { background: { ignoresTerm: true } },
      { say: 'ok' },
    ]);
    expect(backgrounds(rig)).toBe(2);
    expect(facts).toMatchObject({ leftovers: 2, exit: null, closing: { outcome: 'done' } });
    expect(await rig.alive()).toHaveLength(1);
  });

  test('goes with a cancel, which does not end commands by itself', async () => {
    const rig = acpRig();
    const { turn, seen } = rig.start([{ background: { ignoresTerm: true } }, { say: 'up' }, { hang: true }]);
    await seen(isText('up'));
    turn.stop('cancel');
    expect(await turn.ended).toMatchObject({ stopped: 'cancel', leftovers: 1, exit: null });
    expect(await rig.alive()).toHaveLength(1);
  });

  test('goes with an agent that dies', async () => {
    const rig = acpRig();
    const { facts } = await rig.run([{ background: { ignoresTerm: true } }, { die: 'SIGKILL' }]);
    expect(facts).toMatchObject({ leftovers: 1, exit: { signal: 'SIGKILL' } });
    expect(await rig.alive()).toEqual([]);
  });

  test('is not its servers of tools, whenever they are started; they go with the agent', async () => {
    const rig = acpRig();
    const source = "process.on('SIGTERM', () => {}); process.stdin.resume(); console.log('up')";
    const toolServers = [{ name: 'fleet', command: process.execPath, args: ['-e', source], env: {} }];
    const { facts } = await rig.run([{ serve: 0 }, { background: {} }], { toolServers });
    expect(facts).toMatchObject({ leftovers: 1, exit: null });
    expect(await rig.alive()).toHaveLength(2);
    await rig.close();
    expect(await rig.alive()).toEqual([]);
  });

  test('an agent that begins to work between two turns is ended, and the next turn is told', async () => {
    const rig = acpRig();
    const work = { sessionUpdate: 'tool_call', toolCallId: 'own', title: 'by myself', kind: 'execute' };
    const { facts } = await rig.run({ steps: [{ say: 'one' }], after: [{ update: work }] });
    await vi.waitFor(async () => expect(await rig.alive()).toEqual([]));
    const next = await rig.run([{ say: 'two' }], { resume: facts.session as never });
    expect(unknown(next.events)).toEqual(['it began to work between two turns, and was ended']);
    expect(next.result.outcome).toBe('done');
    expect(rig.log().filter((line) => line.startsWith('started'))).toHaveLength(2);
  });
});
