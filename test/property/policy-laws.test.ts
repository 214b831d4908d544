// Laws of the policy aggregate under any sequence of commands and evidence, sensible or not.
import { expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { foldAgent, type AgentSummary } from '#services/lifecycle/agent.view.ts';
import { isLive } from '#services/lifecycle/policy-state.policy.ts';
import { nextWake } from '#services/lifecycle/policy-wake.policy.ts';
import { policyDecider } from '#services/lifecycle/policy.decider.ts';
import { foldPolicy, type PolicySummary } from '#services/lifecycle/policy.view.ts';
import { managedAgentSchema, policyViewSchema } from '#streams/policy-views.ts';
import { policyEventSchema, type PolicyEvent } from '#streams/policy.ts';
import { law, type Lived } from '#test/support/policy-lives.ts';

const eventsOf = (lived: readonly Lived[]): PolicyEvent[] => lived.flatMap(({ event }) => event ?? []);

test('every event is one of the contract, and the fold of the events is the live state', () => {
  law((lived) => {
    const events = eventsOf(lived);
    for (const event of events) expect(policyEventSchema.parse(event)).toEqual(event);
    expect(fold(policyDecider, events)).toEqual(lived.at(-1)?.after);
  });
});

test('LC-06 at most one start is under way: another begins only when the last has been given up on record', () => {
  law((lived) => {
    let open: string | undefined;
    for (const event of eventsOf(lived)) {
      if (event.type === 'fleetlog.policy.starting.v1') {
        expect(open).toBe(undefined);
        open = event.spawnId;
      }
      if (
        event.type === 'fleetlog.policy.stopped.v1' ||
        event.type === 'fleetlog.policy.backoff.v1' ||
        event.type === 'fleetlog.policy.failed.v1'
      )
        open = undefined;
      if (event.type === 'fleetlog.policy.running.v1' || event.type === 'fleetlog.policy.stopping.v1')
        expect(event.spawnId).toBe(open);
    }
    for (const { after } of lived)
      if (after !== undefined) expect(after.spawn !== null).toBe(isLive(after.state));
  });
});

test('WK-71 nothing starts while a runner of the agent is seen, unless it is of a start that is known to be over', () => {
  law((lived) => {
    for (const { command, before, event } of lived) {
      if (event?.type !== 'fleetlog.policy.starting.v1' || command.kind !== 'tick') continue;
      const runner = command.evidence.runner ?? null;
      expect(runner === null || before?.over.includes(runner.spawnId ?? '')).toBe(true);
    }
  });
});

test('WK-69 a wait after a failure is cut short by nothing but a reset', () => {
  law((lived) => {
    for (const { before, event, now } of lived)
      if (before?.state === 'backoff' && event?.type === 'fleetlog.policy.starting.v1')
        expect(now).toBeGreaterThanOrEqual(before.dueAt ?? 0);
  });
});

test('an open breaker is left by a reset or a removal only', () => {
  law((lived) => {
    for (const { before, after, event } of lived)
      if (before?.state === 'failed' && after?.state !== 'failed')
        expect(
          event?.type === 'fleetlog.policy.reset.v1' ||
            (before.isRemoved && event?.type === 'fleetlog.policy.stopped.v1'),
        ).toBe(true);
  });
});

test('WK-66 what a person has stopped, paused or removed is not started', () => {
  law((lived) => {
    for (const { before, event } of lived)
      if (event?.type === 'fleetlog.policy.starting.v1')
        expect([
          before?.asked === 'stopped',
          before?.isPaused,
          before?.isRemoved,
          before?.config.mode === 'paused',
        ]).toEqual([false, false, false, false]);
  });
});

test('LC-13 failures count crashes in a row: one more with each, none after a healthy time or a reset, and no other event moves them', () => {
  law((lived) => {
    for (const { before, after, event } of lived) {
      if (event === undefined || before === undefined || after === undefined) continue;
      const short = event.type.replace(/^fleetlog\.policy\.|\.v1$/g, '');
      if (short === 'backoff' || short === 'failed') expect(after.failures).toBe(before.failures + 1);
      else if (short === 'healthy' || short === 'reset') expect(after.failures).toBe(0);
      else expect(after.failures).toBe(before.failures);
    }
  });
});

test('versions are numbered without gaps from 1, and the mail that is settled never grows less', () => {
  law((lived) => {
    const versions = eventsOf(lived).flatMap((event) =>
      event.type === 'fleetlog.policy.applied.v1' || event.type === 'fleetlog.policy.removed.v1'
        ? [event.version]
        : [],
    );
    expect(versions).toEqual(versions.map((_, at) => at + 1));
    for (const { before, after } of lived)
      if (before !== undefined && after !== undefined)
        expect(after.settledSeq).toBeGreaterThanOrEqual(before.settledSeq);
  });
});

test('what is due is looked at: every deadline has a timer, and no timer is in the past by more than its deadline', () => {
  law((lived) => {
    for (const { after, now } of lived) {
      if (after === undefined) continue;
      const wakeAt = nextWake(after, {}, { now, calendarAt: null });
      if (after.state === 'starting' || after.state === 'stopping') expect(wakeAt).toBe(after.dueAt);
      else if (wakeAt !== null) expect(wakeAt).toBeGreaterThan(now);
      const isWaiting = after.state === 'backoff' && (after.dueAt ?? 0) > now;
      const isOff =
        after.isRemoved || after.isPaused || after.asked === 'stopped' || after.config.mode === 'paused';
      if (isWaiting && !isOff) expect(wakeAt).not.toBe(null);
    }
  });
});

test('the summaries show the state of the aggregate, and are of the contract', () => {
  const boundary = { tenant: 'local', project: 'main' };
  law((lived) => {
    let agent: AgentSummary | undefined;
    let view: PolicySummary | undefined;
    const events = eventsOf(lived);
    for (const [at, event] of events.entries()) {
      const placed = { boundary, event, seq: at + 1, by: 'user:law' };
      agent = foldAgent(agent, placed);
      view = foldPolicy(view, placed);
    }
    expect(managedAgentSchema.parse({ seq: 1, ...agent })).toEqual({ seq: 1, ...agent });
    expect(policyViewSchema.parse({ seq: 1, ...view })).toEqual({ seq: 1, ...view });
    const state = lived.at(-1)?.after;
    const { spawn = null, ...rest } = state ?? {};
    expect(rest).toMatchObject({ state: agent?.state, failures: agent?.failures });
    expect(spawn?.spawnId ?? null).toBe(agent?.spawnId);
    expect(rest).toMatchObject({ isRemoved: view?.isRemoved, config: view?.config });
  });
});
