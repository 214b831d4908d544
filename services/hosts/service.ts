// Hosts — owns the host aggregate: answers the announcements of hosts and what people ask of them, takes hosts offline that are not heard
// of, and folds the summary `hosts`. Any number of instances may run. Does not start or stop runners (see lifecycle and host).
import { duration } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import type { ServiceContext } from '#libs/service/context.ts';
import { defineService, type Service } from '#libs/service/define-service.ts';
import { projectionLoop } from '#libs/service/loops.ts';
import { scratchBucket } from '#streams/buckets.ts';
import { buildDeadLetter } from '#streams/dead-letters.ts';
import { createHostLog, type HostLog } from './host-log.ts';
import { createLostHosts } from './lost-hosts.ts';
import { hostsProjection } from './projections.ts';
import { hostRequests } from './requests.ts';

const HostsConfig = configSchema({
  sweepMs: duration({ min: 1000 })
    .default(10_000)
    .describe('How often hosts are checked for a presence that has expired and that no watch has told of.'),
});
type HostsConfig = ConfigOf<typeof HostsConfig>;
type Context = ServiceContext<HostsConfig>;

const hostLogs = new WeakMap<Context, HostLog>();

/** What loops and requests of one instance share: the aggregate orders commands by subject, so there is one of it. */
const hostLogOf = (context: Context): HostLog => {
  const known = hostLogs.get(context);
  if (known !== undefined) return known;
  const { clock, ids } = context;
  const made = createHostLog({ log: context.log('TRANSITIONS'), clock, ids });
  hostLogs.set(context, made);
  return made;
};

/** The service; `version` is what hosts are told that the control plane is. */
export const createHostsService = ({ version }: { readonly version: string }): Service<HostsConfig> =>
  defineService({
    name: 'hosts',
    config: HostsConfig,
    loops: (context) => {
      const { clock, ids, logger, config } = context;
      const lost = createLostHosts({
        hostLog: hostLogOf(context),
        presence: context.bucket('presence'),
        hosts: context.bucket('hosts'),
        clock,
        ids,
        onTrouble: (host, fault) =>
          logger.warn('a host that is not heard of is left to the sweep', { host, error: fault }),
      });
      const deadLetters = createDeadLetters({ log: context.log('DEADLETTERS'), build: buildDeadLetter });
      return [
        projectionLoop(context, { projection: hostsProjection, deadLetters, scratch: scratchBucket }),
        { name: 'lost-hosts', run: (signal) => lost.watch(signal) },
        { name: 'host-sweep', run: (signal) => lost.sweep(config.sweepMs, signal) },
      ];
    },
    requests: (context) => {
      const { clock, ids, redactor } = context;
      const presence = context.bucket('presence');
      return hostRequests({ hostLog: hostLogOf(context), presence, redactor, clock, ids, version });
    },
  });
