// How a plan reads, what applying it does when something goes wrong, and what a service checks at its start.
import { Fault } from '#libs/kernel/fault.ts';
import { reconcileTopology } from '#libs/topology/apply.ts';
import { checkTopology } from '#libs/topology/check.ts';
import type { Topology } from '#libs/topology/definitions.ts';
import { planJson, renderPlan } from '#libs/topology/render-plan.ts';
import { streamSettings } from '#libs/topology/settings.ts';
import { MemoryTopology } from '#test/support/memory-topology.ts';
import {
  clock,
  DAY,
  declared,
  MIB,
  NOW,
  planFor,
  present,
  stream,
  withConsumer,
  withStream,
} from '#test/support/small-topology.ts';
import { describe, expect, test } from 'vitest';

describe('text and JSON', () => {
  test('a plan reads as aligned lines, what is kept, and a count', async () => {
    const driver = present({ consumers: [] });
    const plan = await planFor(
      withStream({ maxBytes: 200, maxAgeMs: 90 * DAY, subjects: ['log.*', 'more.*'] }),
      driver,
    );
    expect(renderPlan(plan)).toBe(
      [
        'nats-server 2.15.1',
        '~ stream    LOG         subjects +more.*',
        '~ stream    LOG         maxAgeMs 30d -> 90d',
        '! stream    LOG         maxBytes 100MiB -> 200B  (it holds 300 bytes; the oldest entries would be deleted) do: declare more, or delete entries by hand first: nats stream purge --keep',
        '+ consumer  LOG/reader  create',
        'kept:',
        '  stream  LOG  at most 90d  at most 100MiB',
        '1 to create, 2 to change, 1 refused',
      ].join('\n'),
    );
  });

  test('an empty plan says that there is nothing to do', async () => {
    expect(renderPlan(await planFor(declared, present()))).toMatch(/\nnothing to do$/);
  });

  test('JSON has every difference, the steps by name, and the number of refusals', async () => {
    const plan = await planFor(withStream({ maxBytes: 200, description: 'x' }), present());
    expect(JSON.parse(JSON.stringify(planJson(plan)))).toMatchObject({
      serverVersion: '2.15.1',
      refused: 1,
      steps: [{ kind: 'update-stream', what: 'LOG' }],
      differences: [{ field: 'description' }, { field: 'maxBytes', kind: 'destroy-refused' }],
      retention: [{ what: 'LOG', maxBytes: 100 * MIB }, { what: 'views' }],
    });
  });
});

describe('applying', () => {
  const failing = (call: string, fault: Fault): MemoryTopology =>
    new MemoryTopology({
      nowMs: NOW,
      before: async (made) => {
        if (made === call) throw fault;
      },
    });
  const away = new Fault({ code: 'TOPOLOGY_UNAVAILABLE', retry: 'later', message: 'away' });

  test('stops at the first failure and says what was done and what is left', async () => {
    const driver = failing('create stream KV_views', away);
    const { result, remaining } = await reconcileTopology({ declared, driver, clock });
    expect(result.done.map(({ label }) => label)).toEqual(['LOG']);
    expect(result.failed).toMatchObject({ step: { label: 'views' }, fault: away });
    expect(result.left.map(({ label }) => label)).toEqual(['LOG/reader']);
    expect(remaining).toBeNull();
    expect([...driver.streams.keys()]).toEqual(['LOG']);
  });

  test('plans anew when somebody else has changed the broker meanwhile', async () => {
    let isFirst = true;
    const driver = new MemoryTopology({
      nowMs: NOW,
      before: async (call) => {
        if (call !== 'create stream LOG' || !isFirst) return;
        isFirst = false;
        await driver.createStream(streamSettings({ ...stream, description: 'By another.' }));
      },
    });
    const { result, remaining } = await reconcileTopology({ declared, driver, clock });
    expect(result.failed).toBeNull();
    expect(remaining?.differences).toEqual([]);
    expect(driver.streams.get('LOG')?.settings.description).toBe('What happened.');
  });

  test('gives up when the broker never comes to rest', async () => {
    const busy = new Fault({ code: 'TOPOLOGY_TAKEN', retry: 'now', message: 'busy' });
    const { result } = await reconcileTopology({
      declared,
      driver: failing('create stream LOG', busy),
      clock,
    });
    expect(result.failed?.fault).toBe(busy);
  });

  test('tells the plan first, and each step as it is done', async () => {
    const told: string[] = [];
    await reconcileTopology({
      declared,
      driver: new MemoryTopology({ nowMs: NOW }),
      clock,
      onPlan: (plan) => told.push(`plan of ${plan.steps.length}`),
      onStep: ({ label }) => told.push(label),
    });
    expect(told).toEqual(['plan of 3', 'LOG', 'views', 'LOG/reader']);
  });
});

describe('the check at start', () => {
  const check = (topology: Topology, driver = present()): Promise<void> =>
    checkTopology(topology, driver, clock);

  test('passes what is as declared, and what an operator may choose', async () => {
    await check(declared);
    await check(withStream({ maxBytes: MIB, maxAgeMs: 0, description: 'x', compression: 's2' }));
    await check(withConsumer({ ackWaitMs: 1, maxAckPending: 1 }));
    await check({ ...declared, streams: [], consumers: [] });
  });

  test('names everything that is missing or different, and the command that mends it', async () => {
    const fails = check(withStream({ denyDelete: true }), present({ consumers: [] }));
    await expect(fails).rejects.toMatchObject({ code: 'TOPOLOGY_MISSING', retry: 'later' });
    await expect(fails).rejects.toThrow(
      /fleetlog provision\n {2}~ stream LOG denyDelete false -> true\n {2}\+ consumer LOG\/reader/,
    );
  });

  test('refuses an old server', async () => {
    await expect(check(declared, present({ server: { version: '2.10.0' } }))).rejects.toThrow(
      /nats-server.*2\.14\.0 or newer/,
    );
  });
});
