// What can be set about the gateway (`FLEETLOG_GATEWAY_…`). Limits that clients meet are stated in the answers that refuse.
import { duration, flag, integer, list, port, secret, size, text } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';

const name = () =>
  text({
    pattern: /^[a-z0-9][a-z0-9_-]{0,63}$/,
    expects: 'a name of 1 to 64 of a-z 0-9 _ - with a letter or digit first',
  });

export const GatewayConfig = configSchema({
  host: text()
    .default('127.0.0.1')
    .describe('Address to listen on. Anything but a loopback address should have an API token.'),
  port: port().default(7710).describe('Port of the HTTP API.'),
  tenant: name()
    .default('local')
    .describe('Tenant that this gateway serves; requests that name another are denied.'),
  project: name()
    .default('main')
    .describe('Project that this gateway serves; requests that name another are denied.'),
  agents: list()
    .default(['builder-1'])
    .describe('Agents that have a runner; the first takes work that names none.'),
  people: list().default(['user']).describe('People that can be told how a run ended, besides the agents.'),
  apiToken: secret()
    .optional()
    .describe(
      'When set, every request but the health check must carry it, or another token, as a bearer token.',
    ),
  viewerToken: secret()
    .optional()
    .describe(
      'Bearer token of those who may read everything and change nothing; needs an API token beside it.',
    ),
  tokensFile: text()
    .optional()
    .describe(
      'File of the tokens of persons, agents and services, kept by `fleetlog token add|list|revoke` and read again when it changes.',
    ),
  requireToken: flag()
    .optional()
    .describe('Whether a request without a token is turned away; by default where tokens are set.'),
  requestsPerSecond: integer({ min: 1, max: 1_000_000 })
    .default(2000)
    .describe('Requests a second that one identity may make for long; beyond it answers are 429.'),
  requestBurst: integer({ min: 1, max: 1_000_000 })
    .default(10_000)
    .describe('Requests that one identity may make at once.'),
  receiptTtlMs: duration({ min: 60_000, max: 365 * 86_400_000 })
    .default(7 * 86_400_000)
    .describe('How long the same request under the same idempotency key is answered as the first time.'),
  allowedHosts: list()
    .default([])
    .describe('Further host names under which this gateway may be addressed while it listens on loopback.'),
  maxBodyBytes: size({ min: 1024, max: 8 * 1024 * 1024 })
    .default(1_000_000)
    .describe(
      'Largest request body. More than the broker carries in one message (1 MiB, less some room) is refused in any case.',
    ),
  maxShown: integer({ min: 1000 })
    .default(200_000)
    .describe(
      'Runs that can be shown; about 2 KB of memory each. Beyond it reads are refused until it is raised.',
    ),
  maxMessages: integer({ min: 100 })
    .default(20_000)
    .describe(
      'Messages that lists show: those that something happened to last. Older ones are found by their id.',
    ),
  maxStreams: integer({ min: 1, max: 100_000 }).default(1000).describe('Live streams served at once.'),
  heartbeatMs: duration({ min: 100 })
    .default(15_000)
    .describe('Silence after which a live stream sends a comment.'),
  streamStallMs: duration({ min: 100 })
    .default(60_000)
    .describe(
      'How long the client of a live stream may take nothing of what there is for it; then its connection is ended, and it may come again where it was.',
    ),
  requestTimeoutMs: duration({ min: 100 })
    .default(5000)
    .describe('How long the owner of a run may take to answer.'),
  readWaitMs: duration({ min: 0 })
    .default(5000)
    .describe('How long a read that names a sequence waits for its summary to show it.'),
  leaseMs: duration({ min: 2000, max: 3_600_000 })
    .default(30_000)
    .describe('Lease of a run that names none: a runner not heard of for so long has lost the run.'),
  turnTimeoutMs: duration({ min: 1000, max: 86_400_000 })
    .default(1_800_000)
    .describe('Hard limit of a turn that names none.'),
  maxAttempts: integer({ min: 1, max: 100 }).default(3).describe('Attempts of a run that names none.'),
});
export type GatewaySettings = ConfigOf<typeof GatewayConfig>;
