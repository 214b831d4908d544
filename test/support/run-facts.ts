// What tests of runs ask for and look at: a request with every field set, the types of a run's history, and the waiting for
// values of buckets to show something.
import { systemIds } from '#libs/system/ids.ts';
import type { Ports } from '#libs/service/context.ts';
import { parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import type { RunRequestOf } from '#streams/run-requests.ts';
import { ask, history } from './scripted-runner.ts';

/** A request for a new run. */
export const runRequest = (changes: Partial<RunRequestOf<'create'>> = {}): RunRequestOf<'create'> => ({
  runId: makeId('run', systemIds.ulid()),
  sessionId: makeId('session', systemIds.ulid()),
  mayOpenSession: true,
  agent: 'builder-1',
  provider: 'exec',
  title: 'Test',
  request: { prompt: 'say hello', turnTimeoutMs: 60_000 },
  replay: 'requeue',
  maxAttempts: 2,
  leaseMs: 30_000,
  actor: 'user:test',
  ...changes,
});

/** Creates a run; gives its id. */
export const createRun = async (
  ports: Ports,
  changes: Partial<RunRequestOf<'create'>> = {},
): Promise<string> => {
  const asked = runRequest(changes);
  const answer = await ask(ports, 'create', asked);
  if (answer.outcome !== 'ok') throw new Error(`create: ${JSON.stringify(answer)}`);
  return asked.runId;
};

/** The value of a key, once it reflects at least this sequence. */
export const shown = async (
  ports: Ports,
  { bucket, key }: { readonly bucket: string; readonly key: string },
  seq: number,
): Promise<Record<string, unknown>> => {
  const found = new AbortController();
  try {
    for await (const event of ports.bucket(bucket).watch({ keys: [key], signal: found.signal })) {
      if (event.kind !== 'put') continue;
      const value = parseJson(event.entry.value) as Record<string, unknown>;
      if (Number(value['seq']) >= seq) return value;
    }
  } finally {
    found.abort();
  }
  throw new Error('the watch ended');
};

/** Resolves when the key is gone. */
export const gone = async (ports: Ports, bucket: string, key: string): Promise<void> => {
  const found = new AbortController();
  const kv = ports.bucket(bucket);
  for await (const event of kv.watch({ keys: [key], signal: found.signal }))
    if ((await kv.get(key)) === undefined || event.kind === 'expired') return found.abort();
};

/** The types of a run's transitions, short: `created`, `claimed`, … */
export const typesOf = async (ports: Ports, runId: string): Promise<string[]> =>
  (await history(ports, runId)).map(({ type }) => type.replace(/^fleetlog\.run\.|\.v1$/g, ''));
