// One turn from the claim to its end, step by step in memory: what happens in which order, what is on disk together with what, and what is
// left when it is over.
import { describe, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import { RUN_REQUESTS } from '#streams/run-requests.ts';
import type { RunRequest } from '#streams/run.ts';
import { runRequest } from '#test/support/run-facts.ts';
import { turnRig, type TurnRig, type TurnRigOptions } from '#test/support/turn-rig.ts';

const running = async (options: TurnRigOptions = {}): Promise<TurnRig> => {
  const rig = turnRig(options);
  await rig.start();
  return rig;
};
const bodyOf = ({ commits }: TurnRig, name: string): Record<string, unknown> | undefined =>
  commits.flatMap(({ reports, bodies }) => bodies.filter((_, at) => reports[at] === name)).at(-1);
const resultOf = (rig: TurnRig): Record<string, unknown> =>
  bodyOf(rig, 'turn-finished')?.['result'] as Record<string, unknown>;

describe('the way of a turn', () => {
  test('TR-01 TR-40 goes once from the claim to the end, each step after what it stands on is on disk', async () => {
    const rig = await running();
    await rig.program().sink({ kind: 'text', text: 'hello' });
    rig.program().end();
    expect(await rig.turn.over).toBe('reported');
    expect(rig.happened).toEqual([
      'step claim-intended',
      'ask claim',
      'step claim-answered',
      'phase preparing',
      'step claim-journaled',
      'prepare workspace',
      'phase running',
      'start program',
      'step program-started',
      'report turn-started',
      'step start-reported',
      'report text',
      'step program-ended',
      'phase finishing',
      'report turn-finished',
      'step result-stored',
      'phase delivering',
      'leave workspace',
      'phase over',
      'leave workspace',
    ]);
    expect(rig.fatal).toEqual([]);
  });

  test.each(['', ' ', '\n\t '])(
    'TR-03 an empty prompt %j is refused at the door: nothing is claimed, started or written',
    (prompt) => {
      const request: RunRequest = { prompt, turnTimeoutMs: 1000 };
      const parsed = RUN_REQUESTS.create.request.safeParse(runRequest({ request }));
      expect(parsed.success).toBe(false);
      expect(RUN_REQUESTS.create.request.safeParse(runRequest()).success).toBe(true);
    },
  );

  test('TR-05 TR-38 the time of a turn is that of its work, not of its wait for the claim, and the result says all of it', async () => {
    let away = 3;
    const rig = turnRig({
      answer: (operation) =>
        operation === 'claim' && away-- > 0 ? { kind: 'away', message: 'nobody' } : undefined,
    });
    await rig.start();
    await rig.clock.advance(5000);
    await rig.clock.advance(700);
    rig
      .program()
      .end({ exit: { code: 0, signal: null }, usage: { inputTokens: 4 }, events: 2, lastText: 'x' });
    await rig.turn.over;
    expect(resultOf(rig)).toEqual({
      outcome: 'done',
      failure: null,
      exitCode: 0,
      signal: null,
      summary: 'ok',
      usage: { inputTokens: 4 },
      durationMs: expect.any(Number),
      events: 2,
    });
    expect(Number(resultOf(rig)['durationMs'])).toBeLessThan(3000);
  });
});

describe('what is on disk together', () => {
  test('TR-12 WK-16 the result, the end of the journal entry and where the conversation stands are one transaction', async () => {
    const rig = await running();
    const keys = [...rig.notes.keys()];
    expect(keys).toEqual([expect.stringMatching(/^turn:/)]);
    rig.program().end();
    await rig.turn.over;
    const last = rig.commits.find(({ reports }) => reports.includes('turn-finished'));
    expect(last?.reports).toEqual(['turn-finished']);
    expect(last?.notes.map(({ key, value }) => [key.split(':')[0], value === null])).toEqual([
      ['turn', true],
      ['session', false],
    ]);
    expect([...rig.notes.keys()]).toEqual([expect.stringMatching(/^session:/)]);
  });

  test('TR-22 WK-16 a conversation is kept in the transaction of the report that names it', async () => {
    const rig = await running();
    await rig.program().sink({ kind: 'session-bound', providerSessionId: 'c-9', requested: null });
    await rig.clock.settle();
    const bound = rig.commits.find(({ reports }) => reports.includes('session-bound'));
    expect(bound?.notes).toMatchObject([{ value: { providerSessionId: 'c-9' } }]);
    rig.program().end();
    await rig.turn.over;
  });

  test.each<[string, (rig: TurnRig) => void]>([
    ['done', (rig) => rig.program().end()],
    ['failed', (rig) => rig.program().end({ closing: null, exit: { code: 1, signal: null } })],
    ['cancelled', (rig) => (rig.turn.cancel(), rig.program().end({ closing: null }))],
    ['stopped by a shutdown', (rig) => (rig.turn.shutdown(), rig.program().end({ closing: null }))],
    ['not to be started', (rig) => rig.program().end({ closing: null, exit: null, startProblem: 'no' })],
  ])('TR-12 TR-21 a turn that was %s leaves no journal entry, no timer and its workspace', async (_, end) => {
    const rig = await running();
    end(rig);
    await rig.turn.over;
    expect([...rig.notes.keys()].filter((key) => key.startsWith('turn:'))).toEqual([]);
    expect(rig.clock.pendingTimers()).toBe(0);
    expect(rig.happened).toContain('leave workspace');
  });

  test('TR-21 a run that was lost leaves no timer either, and its workspace, without a word', async () => {
    let isLost = false;
    const rig = await running({
      answer: (operation) =>
        operation === 'renew' && isLost ? { kind: 'refused', code: 'RUN_FENCED', message: '' } : undefined,
    });
    isLost = true;
    await rig.clock.advance(10_000);
    expect(rig.program().stops).toEqual(['lease']);
    rig.program().end({ closing: null });
    expect(await rig.turn.over).toBe('lost');
    expect(rig.commits.flatMap(({ reports }) => reports)).toEqual(['turn-started']);
    expect([...rig.notes.keys()]).toEqual([]);
    expect(rig.clock.pendingTimers()).toBe(0);
    expect(rig.happened.filter((what) => what === 'leave workspace')).not.toEqual([]);
  });

  test('ER-18 TR-10 TR-11 a journal that cannot be written is fatal before anything is asked for or started', async () => {
    const broken = new Fault({ code: 'OUTBOX_CORRUPT', retry: 'never', message: 'damaged' });
    const rig = await running({ onCommit: () => Promise.reject(broken) });
    expect(rig.fatal).toEqual([broken]);
    expect(rig.happened).toEqual([]);
    expect(rig.isStarted()).toBe(false);
  });

  test('TR-11 a claim that cannot be written down is fatal before the program is started', async () => {
    let writes = 0;
    const broken = new Fault({ code: 'OUTBOX_CORRUPT', retry: 'never', message: 'damaged' });
    const rig = await running({
      onCommit: () => ((writes += 1) === 2 ? Promise.reject(broken) : Promise.resolve()),
    });
    expect(rig.fatal).toEqual([broken]);
    expect(rig.isStarted()).toBe(false);
  });

  test('TR-28 WK-27 a disk that is full for a while delays reports and breaks no turn: none is lost, the order stays', async () => {
    let isFull = false;
    const full = new Fault({ code: 'OUTBOX_DISK_FULL', retry: 'later', message: 'full' });
    const rig = await running({ onCommit: () => (isFull ? Promise.reject(full) : Promise.resolve()) });
    isFull = true;
    for (const text of ['one', 'two']) await rig.program().sink({ kind: 'text', text });
    rig.program().end();
    await rig.clock.advance(30_000);
    expect(rig.happened).not.toContain('report text');
    isFull = false;
    await rig.clock.advance(1000);
    await rig.turn.over;
    expect(rig.happened.filter((what) => what.startsWith('report'))).toEqual([
      'report turn-started',
      'report text',
      'report text',
      'report turn-finished',
    ]);
    expect(rig.fatal).toEqual([]);
  });
});

describe('the agent’s own word', () => {
  const done = { outcome: 'done', summary: 'merged' } as const;

  test('TR-31 WK-22 a run that waits for it has yielded without it, and nobody is told that it died', async () => {
    const rig = await running({ request: { completion: 'signal' } });
    rig.program().end();
    await rig.turn.over;
    expect(resultOf(rig)).toMatchObject({ outcome: 'yielded', failure: null });
  });

  test('TR-14 a run that does not ask for it is done without it', async () => {
    const rig = await running();
    rig.program().end();
    await rig.turn.over;
    expect(resultOf(rig)).toMatchObject({ outcome: 'done' });
  });

  test.each<[string, (rig: TurnRig) => void]>([
    ['cancelled', (rig) => (rig.turn.cancel(), rig.program().end({ closing: null }))],
    ['silent', (rig) => rig.program().end({ closing: null, stopped: 'silence' })],
    ['crashed', (rig) => rig.program().end({ closing: null, exit: { code: null, signal: 'SIGKILL' } })],
  ])('TR-33 WK-21 it was said, then the program was %s: done, and no false alarm', async (_, end) => {
    const rig = await running({ request: { completion: 'signal' } });
    expect(await rig.turn.say(done)).toEqual({ kind: 'kept' });
    end(rig);
    await rig.turn.over;
    expect(resultOf(rig)).toMatchObject({ outcome: 'done', failure: null, summary: 'merged' });
    expect(bodyOf(rig, 'turn-signalled')).toMatchObject({ turnId: rig.turnId, outcome: 'done' });
  });

  test('TR-13 TR-15 WK-23 it counts for the turn under whose id it was said: before the start and after the end it is refused', async () => {
    const rig = turnRig({ request: { completion: 'signal' } });
    expect(await rig.turn.say(done)).toMatchObject({ kind: 'refused', code: 'TURN_NOT_RUNNING' });
    await rig.start();
    rig.program().end();
    await rig.turn.over;
    expect(await rig.turn.say(done)).toMatchObject({ kind: 'refused', code: 'TURN_NOT_RUNNING' });
    expect(resultOf(rig)).toMatchObject({ outcome: 'yielded' });
  });

  test('WK-23 the last one counts, and one that is on its way to the disk when the program ends counts too', async () => {
    const rig = await running();
    await rig.turn.say({ outcome: 'blocked', summary: 'no key' });
    const saying = rig.turn.say(done);
    rig.program().end();
    expect(await saying).toEqual({ kind: 'kept' });
    await rig.turn.over;
    expect(resultOf(rig)).toMatchObject({ outcome: 'done', summary: 'merged' });
  });

  test('WK-17 it is in the journal before it is acknowledged: a crash does not undo it', async () => {
    const rig = await running();
    await rig.turn.say(done);
    const [, entry] = [...rig.notes].find(([key]) => key.startsWith('turn:')) ?? [];
    expect(entry).toMatchObject({ word: done, held: { fence: 3 } });
    rig.program().end();
    await rig.turn.over;
  });
});

describe('a clock that jumps', () => {
  test.each([3_600_000, -3_600_000])(
    'by %i ms during a turn: lease, duration and outcome are as without it',
    async (jumpMs) => {
      const rig = await running();
      await rig.clock.advance(5000);
      rig.clock.jumpWall(jumpMs);
      await rig.clock.advance(20_000);
      expect(rig.happened.filter((what) => what === 'ask renew')).toHaveLength(2);
      expect(rig.program().stops).toEqual([]);
      rig.program().end();
      await rig.turn.over;
      expect(resultOf(rig)).toMatchObject({ outcome: 'done', durationMs: 25_000 });
      // What happened says when by the clock of the machine, as it stood then.
      const started = Number(bodyOf(rig, 'turn-started')?.['startedAt']);
      expect(Number(bodyOf(rig, 'turn-finished')?.['endedAt']) - started).toBe(25_000 + jumpMs);
    },
  );

  test('backwards by an hour does not give a lease that nobody renews any longer than it has', async () => {
    const rig = await running({
      answer: (operation) => (operation === 'renew' ? { kind: 'away', message: '' } : undefined),
    });
    rig.clock.jumpWall(-3_600_000);
    await rig.clock.advance(26_000);
    expect(rig.program().stops).toEqual([]);
    await rig.clock.advance(2000);
    expect(rig.program().stops).toEqual(['lease']);
    rig.program().end({ closing: null });
    await rig.turn.over;
    expect(resultOf(rig)).toMatchObject({ failure: { kind: 'runner-lost' } });
  });
});
