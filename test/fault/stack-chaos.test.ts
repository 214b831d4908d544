// Many short runs while broker, services and runners, each a process of its own, are killed (kill -9) at random, seeded moments and
// started again. Afterwards: every acknowledged request is there once, every run ended once, projections equal the log, and nothing is
// doubled, missing or out of order. FLEETLOG_CHAOS_RUNS sets how many runs (1,000 takes minutes), FLEETLOG_SEED repeats a chaos.
import { expect, test } from 'vitest';
import { findFreePort } from '#libs/broker/free-port.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { chaosClient, type ChaosClient } from '#test/support/chaos-client.ts';
import { chaosFleet, type ChaosFleet } from '#test/support/chaos-fleet.ts';
import { judgeChaos } from '#test/support/chaos-verdict.ts';
import { connectTo } from '#test/support/nats-connection.ts';
import { oneSeed } from '#test/support/seeds.ts';
import { api } from '#test/support/stack.ts';

const environment = readEnvironment();
const RUNS = Number(environment['FLEETLOG_CHAOS_RUNS'] ?? 80);
const SEED = oneSeed(1);
/** With nothing being killed any more, what is left has to end within this. */
const SETTLE_MS = 60_000;
/** How long everything goes on dying after all was asked for, at most. */
const MOST_RAGE_MS = 20_000 + RUNS * 100;

const unfinished = async (apiUrl: string): Promise<readonly string[]> => {
  const states = 'queued,claimed,running,cancelling';
  const { body } = await api(apiUrl, `/api/v1/runs?limit=100&state=${states}`);
  return (body['runs'] as { runId: string; state: string; agent: string }[]).map(
    ({ runId, state, agent }) => `${runId} ${agent} ${state}`,
  );
};

/** Resolves when few are left, or after a while: by then everything has died at every stage of a run. */
const mostlyEnded = async (apiUrl: string): Promise<void> => {
  const deadline = systemClock.monotonicMs() + MOST_RAGE_MS;
  while (systemClock.monotonicMs() < deadline) {
    const left = await unfinished(apiUrl).catch(() => undefined);
    if (left !== undefined && left.length <= RUNS / 10) return;
    await systemClock.sleep(200);
  }
};

const settle = async (fleet: ChaosFleet): Promise<readonly string[]> => {
  const deadline = systemClock.monotonicMs() + SETTLE_MS;
  for (;;) {
    const left = await unfinished(fleet.apiUrl).catch(() => ['nobody answers']);
    if (left.length === 0 || systemClock.monotonicMs() > deadline) return left;
    await systemClock.sleep(200);
  }
};

/** Asks for everything while members die, then lets the rest settle. Returns what never ended. */
const chaos = async (fleet: ChaosFleet, client: ChaosClient): Promise<readonly string[]> => {
  const calm = new AbortController();
  const raging = fleet.rage(calm.signal);
  await client.askForAll(RUNS);
  await mostlyEnded(fleet.apiUrl);
  calm.abort();
  await raging;
  return settle(fleet);
};

test(`${RUNS} runs survive kill -9 of everything (seed ${SEED})`, async () => {
  const startedMs = systemClock.monotonicMs();
  await using fleet = await chaosFleet({ seed: SEED, port: await findFreePort('127.0.0.1'), everyMs: 1500 });
  const client = chaosClient(fleet.apiUrl, SEED);
  const neverEnded = await chaos(fleet, client);
  const settledMs = systemClock.monotonicMs();
  const connection = await connectTo({ user: 'control', password: 'control', urls: [fleet.broker.url] });
  const { breaches, figures } = await judgeChaos(connection, client.acknowledged);
  await connection.close();
  const seconds = ((settledMs - startedMs) / 1000).toFixed(1);
  process.stdout.write(
    `chaos: seed ${SEED}, ${seconds} s, ${JSON.stringify({ ...figures, retries: client.retries(), kills: fleet.kills })}\n`,
  );
  if (neverEnded.length + breaches.length > 0)
    process.stdout.write(`${JSON.stringify(fleet.lastWords(20), null, 1)}\n`);
  expect({ neverEnded, breaches, deaths: fleet.deaths, surprises: client.surprises }).toEqual({
    neverEnded: [],
    breaches: [],
    deaths: [],
    surprises: [],
  });
}, 600_000);
