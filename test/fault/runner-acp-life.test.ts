// The process of an agent over several turns: kept, replaced, bounded, ended; and its conversation, which outlives it.
import { describe, expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { systemClock } from '#libs/system/clock.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import type { ResumePoint, TurnFacts } from '#services/runner/providers/turn-facts.ts';
import { acpRig, told, type AcpRig } from '#test/support/acp-rig.ts';

const pointOf = ({ session }: TurnFacts): ResumePoint => {
  if (session === undefined || session === 'gone') throw new Error('no conversation');
  return session;
};
const starts = (rig: AcpRig): number => rig.log().filter((line) => line.startsWith('started')).length;
const opened = (rig: AcpRig): readonly string[] =>
  rig.log().filter((line) => /^(?:new|resume|load) /.test(line));
const bound = (events: readonly ProviderEvent[]): unknown[] =>
  events
    .filter(({ kind }) => kind === 'session-bound' || kind === 'session-forked')
    .map((event) => ({ ...event }));

describe('a process', () => {
  test('is kept between the turns of a session, and named in each', async () => {
    const rig = acpRig();
    const one = rig.start([{ say: 'first' }]);
    const { facts } = { facts: await one.turn.ended };
    const two = rig.start([{ recall: true }], { resume: pointOf(facts) });
    await two.turn.ended;
    expect(starts(rig)).toBe(1);
    expect(await two.turn.started).toEqual({ ...(await one.turn.started), programVersion: '1.2.3' });
    expect(bound(two.events)).toEqual([
      { kind: 'session-bound', providerSessionId: 'conversation-1', requested: 'conversation-1' },
    ]);
    expect(told(two.events)[1]).toContain('text [{"say":"first"}]|');
    expect(facts).toMatchObject({ exit: null, stopped: null, isLasting: true });
  });

  test('belongs to one session', async () => {
    const rig = acpRig();
    const [one, two] = await Promise.all([
      rig.run([{ say: 'a' }], { session: 'ses-1' }),
      rig.run([{ say: 'b' }], { session: 'ses-2' }),
    ]);
    expect(starts(rig)).toBe(2);
    expect([one.result.outcome, two.result.outcome]).toEqual(['done', 'done']);
    expect(await rig.alive()).toHaveLength(2);
  });

  test('is told of its session, not of one run or turn, and is not started anew for another token', async () => {
    const rig = acpRig();
    const names = ['FLEETLOG_SESSION', 'FLEETLOG_TURN', 'FLEETLOG_RUN', 'FLEETLOG_TURN_TOKEN'];
    const script = names.map((environment) => ({ environment }));
    const one = await rig.run(script, { environment: { FLEETLOG_RUN: 'run-1', FLEETLOG_TURN_TOKEN: 'one' } });
    const { session } = one.facts;
    expect(told(one.events)[1]).toBe(
      'text FLEETLOG_SESSION=ses-1FLEETLOG_TURN=undefinedFLEETLOG_RUN=undefinedFLEETLOG_TURN_TOKEN=one',
    );
    const environment = { FLEETLOG_RUN: 'run-2', FLEETLOG_TURN_TOKEN: 'two' };
    await rig.run(script, { environment, resume: session as ResumePoint });
    expect(starts(rig)).toBe(1);
  });

  test('that crashed is replaced, and the conversation is gone on with', async () => {
    const rig = acpRig();
    const { facts } = await rig.run([{ say: 'before' }]);
    const [pid] = await rig.alive();
    const crashed = await rig.run([{ say: 'going' }, { die: 'SIGKILL' }], { resume: pointOf(facts) });
    expect(crashed.result).toMatchObject({
      outcome: 'failed',
      failure: { kind: 'provider-failed' },
      signal: 'SIGKILL',
    });
    expect(told(crashed.events)).toEqual(['session-bound', 'text going']);
    const after = await rig.run([{ recall: true }], { resume: pointOf(crashed.facts) });
    expect(opened(rig)).toEqual([expect.stringContaining('new conversation-1'), 'resume conversation-1']);
    expect(told(after.events)[1]).toContain('text [{"say":"before"}]|');
    expect(await rig.alive()).not.toContain(pid);
  });

  test('started another way than before is replaced', async () => {
    const rig = acpRig();
    const { facts } = await rig.run([{ say: 'a' }], { environment: { KEY: 'one' } });
    const { events } = await rig.run([{ environment: 'KEY' }], {
      resume: pointOf(facts),
      environment: { KEY: 'two' },
    });
    expect(told(events)).toContain('text KEY=two');
    expect(starts(rig)).toBe(2);
    expect(await rig.alive()).toHaveLength(1);
  });

  test('too many idle ones: the one that was used longest ago goes', async () => {
    const rig = acpRig({ settings: { keep: 2 } });
    const ends: TurnFacts[] = [];
    for (const session of ['ses-1', 'ses-2', 'ses-3'])
      ends.push((await rig.run([{ say: session }], { session })).facts);
    const [one, , three] = ends;
    if (one === undefined || three === undefined) throw new Error('no turns');
    await rig.run([{ say: 'again' }], { session: 'ses-3', resume: pointOf(three) });
    expect(starts(rig)).toBe(3);
    // Its way out is waited for: never two processes in one conversation.
    await rig.run([{ say: 'again' }], { session: 'ses-1', resume: pointOf(one) });
    expect(starts(rig)).toBe(4);
    expect(opened(rig).at(-1)).toBe(`resume ${pointOf(one).providerSessionId}`);
  });

  test('none is kept when none may be', async () => {
    const rig = acpRig({ settings: { keep: 0 } });
    const { facts, result } = await rig.run([{ say: 'once' }]);
    expect(result.outcome).toBe('done');
    expect(facts.exit).toEqual({ code: 0, signal: null });
    expect(await rig.alive()).toEqual([]);
  });

  test('one that does not go at the end of its input is ended, and the turn has still been done', async () => {
    const rig = acpRig({ settings: { keep: 0 }, persona: { staysAtEof: true, ignoresTerm: true } });
    const { facts, result } = await rig.run([{ say: 'once' }]);
    expect(result).toMatchObject({ outcome: 'done', signal: 'SIGKILL' });
    expect(facts.stopped).toBeNull();
    expect(rig.log().slice(-2)).toEqual(['end of input', 'SIGTERM ignored']);
    expect(await rig.alive()).toEqual([]);
  });

  test('all go when the provider is closed, whatever they do about it', async () => {
    const rig = acpRig({ persona: { staysAtEof: true, ignoresTerm: true } });
    await Promise.all(['ses-1', 'ses-2'].map((session) => rig.run([{ say: 'hello' }], { session })));
    expect(await rig.alive()).toHaveLength(2);
    await rig.close();
    expect(await rig.alive()).toEqual([]);
  });

  test('one that has been idle for too long goes', async () => {
    const clock = createManualClock();
    const rig = acpRig({ clock, settings: { idleMs: 1000 } });
    await rig.run([{ notify: { method: 'x' } }]);
    expect(await rig.alive()).toHaveLength(1);
    await clock.advance(1000);
    await rig.close();
    expect(rig.log().at(-1)).toBe('end of input');
    expect(await rig.alive()).toEqual([]);
  });
});

describe('a conversation', () => {
  const firstIn = async (rig: AcpRig): Promise<ResumePoint> =>
    pointOf((await rig.run([{ say: 'first' }])).facts);
  /** As after a restart of the runner: another provider, another process. */
  const inAnotherProcess = (rig: AcpRig, resume: ResumePoint): ReturnType<AcpRig['run']> =>
    rig.run([{ say: 'second' }], { resume, environment: { ANOTHER: 'process' } });

  test('is resumed where the agent can, silently', async () => {
    const rig = acpRig();
    const { events } = await inAnotherProcess(rig, await firstIn(rig));
    expect(opened(rig)[1]).toBe('resume conversation-1');
    expect(told(events)).toEqual(['session-bound', 'text second', 'usage']);
  });

  test('is loaded where it cannot be resumed, and its past is not told again', async () => {
    const rig = acpRig({ persona: { canResume: false } });
    const { events } = await inAnotherProcess(rig, await firstIn(rig));
    expect(opened(rig)[1]).toBe('load conversation-1');
    expect(told(events)).toEqual(['session-bound', 'text second', 'usage']);
  });

  test('told again behind the answer to its load is waited for', async () => {
    // A minute later: within the minute in which it was begun, this agent would erase it.
    let laterMs = 0;
    const clock = { ...systemClock, now: () => systemClock.now() + laterMs };
    const rig = acpRig({ clock, persona: { name: 'gemini-cli', canResume: false, replaysLate: true } });
    const resume = await firstIn(rig);
    laterMs = 60_000;
    const { events } = await inAnotherProcess(rig, resume);
    expect(opened(rig)[1]).toBe('load conversation-1');
    expect(told(events)).toEqual(['session-bound', 'text second', 'usage']);
  });

  test('that is not known any more is replaced by a new one, which is told, and why', async () => {
    const rig = acpRig({ persona: { forgets: true } });
    const resume = { ...(await firstIn(rig)), counters: { costMicroUsd: 9 } };
    const { events, facts, result } = await inAnotherProcess(rig, resume);
    expect(opened(rig).slice(1)).toEqual([
      'resume conversation-1',
      'load conversation-1',
      expect.stringContaining('new conversation-2'),
    ]);
    expect(events[0]).toMatchObject({ kind: 'output', text: expect.stringContaining('Resource not found') });
    expect(bound(events)).toEqual([
      { kind: 'session-forked', providerSessionId: 'conversation-2', requested: 'conversation-1' },
    ]);
    expect(facts.session).toEqual({ providerSessionId: 'conversation-2', counters: {} });
    expect(result.outcome).toBe('done');
  });

  test('of an agent that keeps none begins anew in each process', async () => {
    const rig = acpRig({ persona: { canResume: false, canLoad: false } });
    const { events } = await inAnotherProcess(rig, await firstIn(rig));
    expect(bound(events)).toMatchObject([{ kind: 'session-forked', providerSessionId: 'conversation-2' }]);
  });

  test('is put into its mode, told of servers of tools, and fails when the mode cannot be had', async () => {
    const rig = acpRig({ settings: { mode: 'careful' } });
    const toolServers = [{ name: 'fleet', command: '/bin/mcp', args: ['--all'], env: { TOKEN: 't' } }];
    const { events } = await rig.run([{ servers: true }], { toolServers });
    expect(rig.log()).toContain('mode careful');
    expect(JSON.parse(told(events)[1]?.replace('text ', '') ?? '')).toMatchObject([
      {
        name: 'fleet',
        command: '/bin/mcp',
        args: ['--all'],
        env: expect.arrayContaining([{ name: 'TOKEN', value: 't' }]),
      },
    ]);
    const refused = await acpRig({ settings: { mode: 'none' } }).run([{ say: 'never' }]);
    expect(refused.result).toMatchObject({
      outcome: 'failed',
      failure: { message: 'the agent cannot be put into its mode none: no such mode' },
    });
    expect(told(refused.events)).toEqual([]);
  });
});
