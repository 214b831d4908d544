// Metrics in the text format, the hooks that feed them, and the trace context.
import { describe, expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { createHooks } from '#libs/telemetry/metrics-hooks.ts';
import { createMetrics, type Metrics } from '#libs/telemetry/metrics.ts';
import {
  childOf,
  continueTrace,
  formatTraceparent,
  parseTraceparent,
  startTrace,
} from '#libs/telemetry/trace.ts';

/** The sample lines of one metric family. */
const samples = async (metrics: Metrics, family: string): Promise<readonly string[]> => {
  const { body } = await metrics.exposition();
  return body.split('\n').filter((line) => line.startsWith(family) && !line.includes('_bucket'));
};

describe('metrics', () => {
  test('are exposed in the text format with help and type', async () => {
    const metrics = createMetrics({ processMetrics: false });
    metrics.counter('fleetlog_things_total', 'Things.', ['kind']).add({ kind: 'a' }, 2);
    metrics.gauge('fleetlog_depth', 'Depth.').set({}, 5);
    const { contentType, body } = await metrics.exposition();
    expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(body.trim().split('\n')).toEqual([
      '# HELP fleetlog_things_total Things.',
      '# TYPE fleetlog_things_total counter',
      'fleetlog_things_total{kind="a"} 2',
      '',
      '# HELP fleetlog_depth Depth.',
      '# TYPE fleetlog_depth gauge',
      'fleetlog_depth 5',
    ]);
  });

  test('are shared by name within an instance and by nothing beyond it', async () => {
    const metrics = createMetrics({ processMetrics: false });
    metrics.counter('fleetlog_things_total', 'Things.').add({});
    metrics.counter('fleetlog_things_total', 'Things.').add({});
    createMetrics({ processMetrics: false }).counter('fleetlog_things_total', 'Things.').add({});
    expect(await samples(metrics, 'fleetlog_things_total')).toEqual(['fleetlog_things_total 2']);
  });

  test('asking for a name with other labels or as another kind is an error', () => {
    const metrics = createMetrics({ processMetrics: false });
    metrics.counter('fleetlog_things_total', 'Things.', ['kind']);
    expect(() => metrics.counter('fleetlog_things_total', 'Things.', ['other'])).toThrow(
      'metric fleetlog_things_total is counter(kind) already and cannot become counter(other)',
    );
    expect(() => metrics.gauge('fleetlog_things_total', 'Things.', ['kind'])).toThrow(
      'cannot become gauge(kind)',
    );
  });

  test('a series that is gone is no longer exposed', async () => {
    const metrics = createMetrics({ processMetrics: false });
    const depth = metrics.gauge('fleetlog_depth', 'Depth.', ['runner']);
    depth.set({ runner: 'a' }, 1);
    depth.set({ runner: 'b' }, 2);
    depth.remove({ runner: 'a' });
    expect(await samples(metrics, 'fleetlog_depth')).toEqual(['fleetlog_depth{runner="b"} 2']);
  });

  test('those of the process are there unless they are left out', async () => {
    expect(await samples(createMetrics(), 'process_resident_memory_bytes')).toHaveLength(1);
    expect((await createMetrics({ processMetrics: false }).exposition()).body.trim()).toBe('');
  });
});

describe('hooks', () => {
  test('count what the loops tell, durations in seconds', async () => {
    const metrics = createMetrics({ processMetrics: false });
    const hooks = createHooks(metrics);
    hooks.consumer.entry('tasks-commands', 'handled', 250);
    hooks.consumer.entry('tasks-commands', 'parked');
    hooks.consumer.backlog('tasks-commands', 7, 2);
    hooks.projection.batch('runs', 100, 12, 40);
    hooks.projection.lag('runs', 1_500);
    hooks.projection.position('runs', 99);
    hooks.log.append('EVENTS', 'conflict', 2);
    hooks.log.groupCommit('EVENTS', 16);
    hooks.http.request('GET', '/api/v1/runs/{id}', 404, 5);
    hooks.buffer.depth('runner-1', 3, 1_024);
    const { body } = await metrics.exposition();
    for (const line of [
      'fleetlog_consumer_entries_total{consumer="tasks-commands",outcome="handled"} 1',
      'fleetlog_consumer_entries_total{consumer="tasks-commands",outcome="parked"} 1',
      'fleetlog_consumer_handle_duration_seconds_sum{consumer="tasks-commands"} 0.25',
      'fleetlog_consumer_handle_duration_seconds_count{consumer="tasks-commands"} 1',
      'fleetlog_consumer_pending{consumer="tasks-commands"} 7',
      'fleetlog_consumer_unacknowledged{consumer="tasks-commands"} 2',
      'fleetlog_projection_entries_total{projection="runs"} 100',
      'fleetlog_projection_keys_total{projection="runs"} 12',
      'fleetlog_projection_batch_entries_bucket{le="128",projection="runs"} 1',
      'fleetlog_projection_write_duration_seconds_sum{projection="runs"} 0.04',
      'fleetlog_projection_lag_seconds{projection="runs"} 1.5',
      'fleetlog_projection_position{projection="runs"} 99',
      'fleetlog_log_appends_total{stream="EVENTS",outcome="conflict"} 1',
      'fleetlog_log_append_duration_seconds_sum{stream="EVENTS"} 0.002',
      'fleetlog_log_group_commit_entries_sum{stream="EVENTS"} 16',
      'fleetlog_http_requests_total{method="GET",route="/api/v1/runs/{id}",status="404"} 1',
      'fleetlog_http_request_duration_seconds_count{method="GET",route="/api/v1/runs/{id}"} 1',
      'fleetlog_runner_buffer_events{runner="runner-1"} 3',
      'fleetlog_runner_buffer_bytes{runner="runner-1"} 1024',
    ]) {
      expect(body.split('\n')).toContain(line);
    }
  });

  test('may be made twice for one registry', async () => {
    const metrics = createMetrics({ processMetrics: false });
    createHooks(metrics).buffer.depth('a', 1, 1);
    createHooks(metrics).buffer.depth('b', 2, 2);
    expect(await samples(metrics, 'fleetlog_runner_buffer_events')).toHaveLength(2);
  });
});

describe('trace context', () => {
  const ids = createSeededIds(7, createManualClock());

  test('what is made is read back', () => {
    const trace = startTrace(ids);
    expect(formatTraceparent(trace)).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(parseTraceparent(formatTraceparent(trace))).toEqual(trace);
    const unsampled = startTrace(ids, false);
    expect(parseTraceparent(formatTraceparent(unsampled))).toEqual(unsampled);
  });

  test('a child is in the same trace with a span of its own', () => {
    const parent = startTrace(ids);
    const child = childOf(parent, ids);
    expect(child).toEqual({ ...parent, spanId: child.spanId });
    expect(child.spanId).not.toBe(parent.spanId);
    expect(continueTrace(formatTraceparent(parent), ids).traceId).toBe(parent.traceId);
    expect(continueTrace('nonsense', ids).traceId).not.toBe(parent.traceId);
  });

  test('a random source of zeros makes no empty ids', () => {
    const zeros = { random: () => 0 };
    expect(parseTraceparent(formatTraceparent(startTrace(zeros)))).toBeDefined();
  });

  const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
  const span = '00f067aa0ba902b7';

  test.each([
    [`00-${trace}-${span}-01`, true],
    [`00-${trace}-${span}-00`, false],
    [` 00-${trace}-${span}-03 `, true],
    [`cc-${trace}-${span}-01-what-comes-later`, true],
  ])('%j is read', (value, isSampled) => {
    expect(parseTraceparent(value)).toEqual({ traceId: trace, spanId: span, isSampled });
  });

  test.each([
    undefined,
    '',
    `ff-${trace}-${span}-01`,
    `00-${trace}-${span}-01-more`,
    `00-${'0'.repeat(32)}-${span}-01`,
    `00-${trace}-${'0'.repeat(16)}-01`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `00-${trace}-${span}`,
    `00-${trace}-${span}-0`,
  ])('%j is none', (value) => {
    expect(parseTraceparent(value)).toBeUndefined();
  });
});
