// What every process of the product can be told, whatever services it runs. No prefix: `FLEETLOG_LOG_LEVEL`, `--log-level`.
import { duration, oneOf, port, text } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import { logFormats, logLevels } from '#libs/telemetry/logger.ts';

export const ProcessConfig = configSchema({
  logLevel: oneOf(logLevels).default('info').describe('The least severe log lines that are written.'),
  logFormat: oneOf(logFormats)
    .default('auto')
    .describe('One JSON object a line, or a readable line; auto: readable on a terminal.'),
  healthHost: text().default('127.0.0.1').describe('Address of /healthz, /readyz, /version and /metrics.'),
  healthPort: port().default(0).describe('Port of /healthz, /readyz, /version and /metrics.'),
  drainMs: duration({ min: 100, max: 600_000 })
    .default(10_000)
    .describe('How long each service may take to finish what it has in hand when the process stops.'),
  livenessLagMs: duration({ min: 100 })
    .default(10_000)
    .describe('/healthz fails when the event loop was blocked for longer than this in the last seconds.'),
});

export type ProcessSettings = ConfigOf<typeof ProcessConfig>;
