// Live streams of the HTTP API on a real broker: everything once and in order, resumed at every point, through a kill of the
// broker, with slow readers, and with the past that retention has taken.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { gateway } from '#services/gateway/service.ts';
import { runs } from '#services/runs/service.ts';
import { typedFilter } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { connectTo } from '#test/support/nats-connection.ts';
import { createRun } from '#test/support/run-facts.ts';
import { claimTurn, transition, turnInstruction, type ScriptedTurn } from '#test/support/scripted-runner.ts';
import { openStream, sseBlocks, sseFrames, wholeStream, type SseFrame } from '#test/support/sse-client.ts';

let broker: FreshBroker;
let plane: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  plane = await startControlPlane({
    broker,
    services: [runs, gateway],
    config: { gateway: { port: 0, heartbeatMs: 200, maxStreams: 40 } },
  });
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

const streamUrl = (runId: string, after = ''): string =>
  `${plane.url()}/api/v1/runs/${runId}/stream${after === '' ? '' : `?after=${after}`}`;

const claimed = async (): Promise<{ runId: string; turn: ScriptedTurn }> => {
  const runId = await createRun(plane.ports);
  return { runId, turn: await claimTurn(plane.ports, await turnInstruction(plane.ports, runId)) };
};

/** What was decided and reported, without the signs of the stream itself. */
const entries = (frames: readonly SseFrame[]): SseFrame[] =>
  frames.filter(({ event }) => event === 'transition' || event === 'report');
const idsOf = (frames: readonly SseFrame[]): string[] =>
  entries(frames).map(({ data }) => String(data['id']));
/** The same whatever the two streams' order between each other: it is by arrival while a run is followed live. */
const setOf = (frames: readonly SseFrame[]): string[] => idsOf(frames).toSorted((a, b) => a.localeCompare(b));
const names = (frames: readonly SseFrame[]): string[] => frames.map(({ event }) => event);

const lineCount = 12;
const wholeRun = async (): Promise<string> => {
  const { runId, turn } = await claimed();
  await turn.started();
  for (let at = 0; at < lineCount; at += 1) await turn.says(`line ${at}`);
  await turn.finished();
  await transition(plane.ports, runId, 'fleetlog.run.completed.v1');
  return runId;
};

describe('the stream of a run', () => {
  test('shows an ended run whole, in the order of its cursors, and ends', async () => {
    const runId = await wholeRun();
    const frames = await wholeStream(streamUrl(runId));
    expect(names(frames).at(-1)).toBe('end');
    expect(names(frames).at(-2)).toBe('live');
    expect(entries(frames)).toHaveLength(4 + lineCount + 2);
    expect(new Set(idsOf(frames)).size).toBe(4 + lineCount + 2);
    expect(frames[0]).toMatchObject({ event: 'transition', data: { type: 'fleetlog.run.created.v1' } });
    for (const { id, data } of entries(frames)) expect(data['cursor']).toBe(id);
  });

  test('resumed at every point, by header or by query, gives exactly the rest', async () => {
    const runId = await wholeRun();
    const whole = await wholeStream(streamUrl(runId));
    const all = entries(whole);
    for (const [at, { id = '' }] of all.entries()) {
      const rest =
        at % 2 === 0
          ? wholeStream(streamUrl(runId), { 'last-event-id': id })
          : wholeStream(streamUrl(runId, id));
      expect(idsOf(await rest)).toEqual(idsOf(all.slice(at + 1)));
    }
    const end = whole.at(-1)?.id ?? '';
    expect(names(await wholeStream(streamUrl(runId, end)))).toEqual(['live', 'end']);
  });

  test('WK-76 follows a run live, which goes to its end although each reader leaves at its first item: nothing missed, nothing twice', async () => {
    const { runId, turn } = await claimed();
    const seen: SseFrame[] = [];
    const report = async (): Promise<void> => {
      await turn.started();
      for (let at = 0; at < lineCount; at += 1) await turn.says(`line ${at}`);
      await turn.finished();
    };
    const reporting = report();
    let after = 't0.e0';
    for (let isOver = false; !isOver;) {
      for await (const frame of sseFrames(await openStream(streamUrl(runId, after)))) {
        after = frame.id ?? after;
        seen.push(frame);
        isOver = frame.event === 'end';
        // Leaves after each item, so that every join of past and live is tried.
        if (frame.event !== 'live') break;
      }
    }
    await reporting;
    expect(setOf(seen)).toEqual(setOf(await wholeStream(streamUrl(runId))));
    const texts = entries(seen).flatMap(({ data }) =>
      data['type'] === 'fleetlog.turn.text.v1' ? [(data['data'] as { text: string }).text] : [],
    );
    expect(texts).toEqual(Array.from({ length: lineCount }, (_, at) => `line ${at}`));
  });

  test('many readers of one run see the same, and share one replay', async () => {
    const { runId, turn } = await claimed();
    const readers = Array.from({ length: 20 }, () => wholeStream(streamUrl(runId)));
    await turn.started();
    for (let at = 0; at < 50; at += 1) await turn.says(`line ${at}`);
    await turn.finished();
    const seen = await Promise.all(readers);
    const [first] = seen;
    for (const frames of seen) expect(setOf(frames)).toEqual(setOf(first ?? []));
    expect(idsOf(first ?? []).length).toBeGreaterThanOrEqual(54);
  });

  test('of a queued run that is cancelled ends', async () => {
    const runId = await createRun(plane.ports);
    const frames = wholeStream(streamUrl(runId));
    await fetch(`${plane.url()}/api/v1/runs/${runId}/cancel`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    expect(idsOf(await frames)).toHaveLength(2);
  });

  test('sends comments while nothing happens', async () => {
    const runId = await createRun(plane.ports);
    let beats = 0;
    for await (const block of sseBlocks(await openStream(streamUrl(runId)))) {
      if (block.includes('still here')) beats += 1;
      if (beats === 2) break;
    }
    expect(beats).toBe(2);
  });

  test('goes on through kill -9 of the broker', async () => {
    const { runId, turn } = await claimed();
    const frames = wholeStream(streamUrl(runId));
    await turn.started();
    await turn.says('before');
    await broker.kill();
    await broker.restart();
    await turn.says('after');
    await turn.finished();
    const types = entries(await frames).map(({ data }) => data['type']);
    expect(types.filter((type) => type === 'fleetlog.turn.text.v1')).toHaveLength(2);
    expect(types).toContain('fleetlog.run.completed.v1');
    expect(new Set(idsOf(await frames)).size).toBe(types.length);
  });
});

/** What a reader gets of a stream that is cut off. */
const untilCut = async (response: Response): Promise<SseFrame[]> => {
  const frames: SseFrame[] = [];
  const reading = (async () => {
    for await (const frame of sseFrames(response)) frames.push(frame);
  })();
  await expect(reading).rejects.toThrow('terminated');
  return frames;
};

test('a reader that is slow gets everything all the same, and one that stops reading is cut off and goes on where it was', async () => {
  const { runId, turn } = await claimed();
  const reader = sseFrames(await openStream(streamUrl(runId)));
  // It reads one frame and then nothing, while more than its queue holds is reported.
  const first = await reader.next();
  const big = 'x'.repeat(20_000);
  const count = 600;
  for (let at = 0; at < count; at += 50)
    await Promise.all(Array.from({ length: 50 }, (_, one) => turn.says(`${at + one} ${big}`)));
  await turn.finished();
  await transition(plane.ports, runId, 'fleetlog.run.completed.v1');
  const frames: SseFrame[] = first.value === undefined ? [] : [first.value];
  for await (const frame of reader) frames.push(frame);
  const seqs = entries(frames).flatMap(({ event, data }) =>
    event === 'report' ? [Number(data['seq'])] : [],
  );
  expect(seqs).toHaveLength(count + 1);
  expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  expect(new Set(seqs).size).toBe(seqs.length);
  expect(names(frames).at(-1)).toBe('end');
  await using impatient = await startControlPlane({
    broker,
    services: [gateway],
    config: { gateway: { port: 0, streamStallMs: 200 } },
  });
  // The connection takes some of it; then nobody does.
  const stopped = await openStream(`${impatient.url()}/api/v1/runs/${runId}/stream`);
  const isCut = (): boolean =>
    impatient.lines.some(({ message }) => String(message).startsWith('a live stream was ended'));
  await vi.waitUntil(isCut, { timeout: 20_000 });
  const before = await untilCut(stopped);
  expect(before.length).toBeLessThan(frames.length);
  const rest = await wholeStream(streamUrl(runId, before.at(-1)?.id));
  expect(setOf([...before, ...rest])).toEqual(setOf(frames));
});

describe('the stream of the fleet', () => {
  test('shows what happens from now on, filtered by subject, and resumes', async () => {
    const url = `${plane.url()}/api/v1/stream?subject=${encodeURIComponent(typedFilter('evt', { type: 'text' }))}`;
    const reader = sseFrames(await openStream(url));
    const live = (await reader.next()).value as SseFrame;
    expect(live.event).toBe('live');
    const { turn } = await claimed();
    await turn.started();
    await turn.says('one');
    await turn.says('two');
    const one = (await reader.next()).value as SseFrame;
    expect(one.data).toMatchObject({ type: 'fleetlog.turn.text.v1', data: { text: 'one' } });
    await reader.return(undefined);
    const again = sseFrames(await openStream(url, { 'last-event-id': one.id ?? '' }));
    expect(((await again.next()).value as SseFrame).data).toMatchObject({ data: { text: 'two' } });
    await again.return(undefined);
    const all = sseFrames(await openStream(`${plane.url()}/api/v1/stream?after=t0.e0`));
    expect(((await all.next()).value as SseFrame).data).toMatchObject({ seq: 1, stream: 'TRANSITIONS' });
    await all.return(undefined);
  });

  test('is not opened for a request that asks for headers only', async () => {
    for (let at = 0; at < 50; at += 1) {
      const response = await fetch(`${plane.url()}/api/v1/stream`, { method: 'HEAD' });
      expect([response.status, response.headers.get('content-type')]).toEqual([
        200,
        'text/event-stream; charset=utf-8',
      ]);
    }
  });

  test('is refused over the limit, and a reader that leaves makes room', async () => {
    const url = `${plane.url()}/api/v1/stream`;
    const open = await Promise.all(Array.from({ length: 40 }, () => openStream(url)));
    const refused = await fetch(url);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: 'STREAMS_EXHAUSTED' });
    const readers = open.map((response) => sseFrames(response));
    await Promise.all(readers.map((reader) => reader.next()));
    for (const reader of readers) await reader.return(undefined);
    // The server hears of it when the connection closes: ask until it has.
    for (let status = 503; status !== 200;) {
      const response = await fetch(url);
      status = response.status;
      await response.body?.cancel();
    }
  });
});

test('a past that retention has taken is said to be gone, with the first position that is there', async () => {
  const runId = await wholeRun();
  const all = entries(await wholeStream(streamUrl(runId)));
  const reports = all.filter(({ event }) => event === 'report');
  const kept = reports[5];
  const connection = await connectTo({ ...broker, urls: [broker.url] });
  const body = JSON.stringify({ seq: kept?.data['seq'] });
  await connection.nc.request('$JS.API.STREAM.PURGE.EVENTS', body);
  await connection.close();
  const resumed = await wholeStream(streamUrl(runId, 't0.e0'));
  expect(resumed.find(({ event }) => event === 'gone')?.data).toMatchObject({
    stream: 'EVENTS',
    firstSeq: kept?.data['seq'],
  });
  expect(idsOf(resumed.filter(({ event }) => event === 'report'))).toEqual(idsOf(reports.slice(5)));
  const page = await fetch(`${plane.url()}/api/v1/runs/${runId}/events`);
  expect(await page.json()).toMatchObject({ gone: [{ stream: 'EVENTS', firstSeq: kept?.data['seq'] }] });
  const later = await wholeStream(streamUrl(runId, kept?.id));
  expect(names(later)).not.toContain('gone');
});

test('a gateway that stops ends its streams, and the client goes on at another one', async () => {
  const { runId, turn } = await claimed();
  await turn.started();
  const other = await startControlPlane({ broker, services: [gateway], config: { gateway: { port: 0 } } });
  const frames: SseFrame[] = [];
  const response = await openStream(`${other.url()}/api/v1/runs/${runId}/stream`);
  for await (const frame of sseFrames(response)) {
    frames.push(frame);
    if (frame.event === 'live') void other.stop();
  }
  await other.stop();
  expect(names(frames)).not.toContain('end');
  await turn.finished();
  const rest = await wholeStream(streamUrl(runId, frames.at(-1)?.id));
  const whole = await wholeStream(streamUrl(runId));
  expect(setOf([...frames, ...rest])).toEqual(setOf(whole));
});
