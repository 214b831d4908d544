// Policies over HTTP and by the command line, on a real broker with a scripted host: a file is shown and applied, agents are asked to start
// and stop, and what happened is told in plain words.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { gateway } from '#services/gateway/service.ts';
import { lifecycle } from '#services/lifecycle/service.ts';
import { mail } from '#services/mail/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { gatewayCli } from '#test/support/gateway-cli.ts';
import { policyEvent } from '#test/support/policy-facts.ts';
import { startHost } from '#test/support/scripted-host.ts';

let broker: FreshBroker;
let plane: ControlPlane;
let cli: ReturnType<typeof gatewayCli>;
let file: string;
const ending = new AbortController();
let host: ReturnType<typeof startHost>;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, [], ['forge-1']);
  plane = await startControlPlane({
    broker,
    services: [mail, lifecycle, gateway],
    config: { gateway: { port: 0 } },
  });
  host = startHost(plane.ports, { host: 'forge-1' }, ending.signal);
  cli = gatewayCli({ apiUrl: plane.url(), natsUrl: broker.url });
  file = join(await mkdtemp(join(tmpdir(), 'fleetlog-policies-')), 'p.yaml');
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  ending.abort();
  await host.done;
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

const apply = async (text: string, ...flags: string[]) => {
  await writeFile(file, text);
  return cli(['policy', 'apply', '-f', file, ...flags]);
};
const text = (mode: string) => `policies:\n  builder: { mode: ${mode}, host: forge-1, tags: [cart] }\n`;

test('IM-28 IM-30 a file is shown first and applied when that is said; its agent starts, and why tells how', async () => {
  const looked = await apply(text('always-on'));
  expect(looked.out).toContain('+ builder: new');
  expect(looked.note).toContain('nothing was applied');
  expect((await cli(['policy', 'list', '--json'])).json()).toEqual({ policies: [] });
  expect(await apply(text('always-on'), '--yes', '--note', 'first')).toMatchObject({ code: 0 });
  await policyEvent(plane.ports, 'builder', 'running');
  const why = await cli(['why', 'builder']);
  expect(why.out).toMatch(/builder \(agent builder\) is running for \d+ s on forge-1/);
  expect(why.out).toMatch(
    /applied for the first time \(version 1\) .*\n.*forge-1 was told to start it \(version 1\), because it is always on\n.*announced itself from forge-1/,
  );
  const again = await apply(text('always-on'), '--yes');
  expect(again.out).toContain('builder: as it is (version 1)');
});

test('IM-30 stop, start, pause and resume are asked for by name, and are told of', async () => {
  expect((await cli(['stop', 'builder', '--reason', 'lunch'])).out).toContain('builder: stop is asked for');
  await policyEvent(plane.ports, 'builder', 'stopped');
  expect((await cli(['start', 'builder', '--json'])).json()).toMatchObject({
    policy: 'builder',
    unchanged: false,
  });
  await policyEvent(plane.ports, 'builder', 'running', 2);
  expect((await cli(['restart', 'builder'])).code).toBe(0);
  await policyEvent(plane.ports, 'builder', 'running', 3);
  expect((await cli(['pause', 'builder'])).code).toBe(0);
  await policyEvent(plane.ports, 'builder', 'stopped', 3);
  const refused = await cli(['start', 'builder']);
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.note).toContain('POLICY_PAUSED');
  expect((await cli(['resume', 'builder'])).code).toBe(0);
  await policyEvent(plane.ports, 'builder', 'running', 4);
  // It shows a summary, which follows the log.
  await expect
    .poll(async () => (await cli(['top', '--once'])).out)
    .toMatch(/^1 agent: 1 running\n[^]*builder +running/);
  expect((await cli(['why', 'builder', '--json'])).json()).toMatchObject({ policy: 'builder', earlier: 0 });
});

test('IM-28 history shows who changed what; a rollback is a new version; a removed policy is stopped and can come back', async () => {
  await apply(text('on-demand'), '--yes');
  const back = await cli(['policy', 'rollback', 'builder', '1', '--expected-version', '2', '--json']);
  expect(back.json()).toMatchObject({ version: 3 });
  const { seq } = await policyEvent(plane.ports, 'builder', 'applied', 3);
  const shown = await fetch(`${plane.url()}/api/v1/policies/builder?afterSeq=${seq}`);
  expect(await shown.json()).toMatchObject({
    policy: { version: 3, config: { mode: 'always-on' } },
    agent: { policy: 'builder' },
  });
  expect((await cli(['policy', 'history', 'builder'])).out).toMatch(/3 .*version 1 again/);
  const stale = await cli(['policy', 'remove', 'builder', '--expected-version', '2']);
  expect(stale.note).toContain('POLICY_VERSION_CONFLICT');
  expect((await cli(['policy', 'remove', 'builder', '--reason', 'done'])).code).toBe(0);
  await policyEvent(plane.ports, 'builder', 'stopped', 4);
  expect((await cli(['why', 'builder'])).out).toContain('the policy was removed: done');
  expect((await cli(['why', 'nobody'])).note).toContain('POLICY_UNKNOWN');
});

test('IM-28 one who has seen an old version is refused by name, the others are applied', async () => {
  const post = (body: object) =>
    fetch(`${plane.url()}/api/v1/policies`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'k1' },
      body: JSON.stringify(body),
    }).then((response) => response.json());
  const policies = { one: { mode: 'paused' }, two: { mode: 'paused' } };
  const body = { policies, expectedVersions: { one: 4, two: 0 } };
  expect(await post(body)).toMatchObject({
    policies: [
      { policy: 'one', outcome: 'refused', refusal: { code: 'POLICY_VERSION_CONFLICT' } },
      { policy: 'two', outcome: 'applied', version: 1 },
    ],
  });
  // The same request again gives the first answer.
  expect(await post(body)).toMatchObject({
    policies: [{ outcome: 'refused' }, { outcome: 'applied', version: 1 }],
  });
});

test('IM-29 what was written to a policy is read back whole by its id', async () => {
  const sent = (await cli(['send', 'policy:builder', 'Look at the cart.', '--json'])).json();
  const read = await cli(['inbox', String(sent['messageId']), '--json']);
  expect(read.json()).toMatchObject({ to: 'policy:builder', body: 'Look at the cart.' });
});
