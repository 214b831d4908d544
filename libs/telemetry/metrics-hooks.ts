// The hooks of the loops, counted as metrics. Durations come in ms and are exposed in seconds, as Prometheus has them.
import type { Hooks } from './hooks.ts';
import type { Metrics } from './metrics.ts';

const seconds = (durationMs: number): number => durationMs / 1_000;

const consumerHooks = (metrics: Metrics): Hooks['consumer'] => {
  const entries = metrics.counter('fleetlog_consumer_entries_total', 'Tries of entries, by outcome.', [
    'consumer',
    'outcome',
  ]);
  const duration = metrics.histogram('fleetlog_consumer_handle_duration_seconds', 'Time that handlers ran.', [
    'consumer',
  ]);
  const pending = metrics.gauge('fleetlog_consumer_pending', 'Entries not yet handed out.', ['consumer']);
  const unacknowledged = metrics.gauge(
    'fleetlog_consumer_unacknowledged',
    'Entries handed out and not acknowledged.',
    ['consumer'],
  );
  return {
    entry: (consumer, outcome, durationMs) => {
      entries.add({ consumer, outcome });
      if (durationMs !== undefined) duration.observe({ consumer }, seconds(durationMs));
    },
    backlog: (consumer, waiting, inHand) => {
      pending.set({ consumer }, waiting);
      unacknowledged.set({ consumer }, inHand);
    },
  };
};

const projectionHooks = (metrics: Metrics): Hooks['projection'] => {
  const labels = ['projection'] as const;
  const entries = metrics.counter('fleetlog_projection_entries_total', 'Entries folded.', labels);
  const keys = metrics.counter('fleetlog_projection_keys_total', 'Keys written.', labels);
  const batch = metrics.histogram('fleetlog_projection_batch_entries', 'Entries a batch.', labels);
  const write = metrics.histogram(
    'fleetlog_projection_write_duration_seconds',
    'Time to write the keys of a batch.',
    labels,
  );
  const lag = metrics.gauge(
    'fleetlog_projection_lag_seconds',
    "From the storing of a batch's last entry to its keys being in the bucket.",
    labels,
  );
  const position = metrics.gauge(
    'fleetlog_projection_position',
    'Stream sequence up to which the bucket is complete.',
    labels,
  );
  return {
    batch: (projection, folded, written, writeMs) => {
      entries.add({ projection }, folded);
      keys.add({ projection }, written);
      batch.observe({ projection }, folded);
      write.observe({ projection }, seconds(writeMs));
    },
    lag: (projection, lagMs) => lag.set({ projection }, seconds(lagMs)),
    position: (projection, seq) => position.set({ projection }, seq),
  };
};

const logHooks = (metrics: Metrics): Hooks['log'] => {
  const appends = metrics.counter('fleetlog_log_appends_total', 'Appends, by outcome.', [
    'stream',
    'outcome',
  ]);
  const duration = metrics.histogram('fleetlog_log_append_duration_seconds', 'Time of an append.', [
    'stream',
  ]);
  const batch = metrics.histogram('fleetlog_log_group_commit_entries', 'Appends that went out together.', [
    'stream',
  ]);
  return {
    append: (stream, outcome, durationMs) => {
      appends.add({ stream, outcome });
      duration.observe({ stream }, seconds(durationMs));
    },
    groupCommit: (stream, entries) => batch.observe({ stream }, entries),
  };
};

const httpHooks = (metrics: Metrics): Hooks['http'] => {
  const requests = metrics.counter('fleetlog_http_requests_total', 'HTTP requests, by route and status.', [
    'method',
    'route',
    'status',
  ]);
  const duration = metrics.histogram('fleetlog_http_request_duration_seconds', 'Time of an HTTP request.', [
    'method',
    'route',
  ]);
  return {
    request: (method, route, status, durationMs) => {
      requests.add({ method, route, status: String(status) });
      duration.observe({ method, route }, seconds(durationMs));
    },
  };
};

const bufferHooks = (metrics: Metrics): Hooks['buffer'] => {
  const events = metrics.gauge('fleetlog_runner_buffer_events', 'Events waiting in the buffer of a runner.', [
    'runner',
  ]);
  const size = metrics.gauge('fleetlog_runner_buffer_bytes', 'Bytes waiting in the buffer of a runner.', [
    'runner',
  ]);
  return {
    depth: (runner, waiting, bytes) => {
      events.set({ runner }, waiting);
      size.set({ runner }, bytes);
    },
  };
};

/** Hooks that count into `metrics`; may be made more than once for one registry. */
export const createHooks = (metrics: Metrics): Hooks => ({
  consumer: consumerHooks(metrics),
  projection: projectionHooks(metrics),
  log: logHooks(metrics),
  http: httpHooks(metrics),
  buffer: bufferHooks(metrics),
});
