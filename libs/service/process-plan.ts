// What a process is made of: services, the wire that gives them ports, the sources of configuration, time and identity.
import { parseSections, type ParsedConfig } from '#libs/config/parse.ts';
import type { ConfigSchema } from '#libs/config/schema.ts';
import type { ConfigSources } from '#libs/config/sources.ts';
import { invariant } from '#libs/kernel/invariant.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { BuildFacts } from '#libs/system/process-facts.ts';
import type { LogSink } from '#libs/telemetry/logger.ts';
import type { OpenPorts, WireTools } from './context.ts';
import type { Service } from './define-service.ts';
import { ProcessConfig, type ProcessSettings } from './process-config.ts';

/** How the ports are opened: its configuration section and the opening itself. */
export interface Wire<Config = unknown> {
  /** Section of its configuration, e.g. `nats` for `FLEETLOG_NATS_URL`. */
  readonly name: string;
  readonly config: ConfigSchema<Config>;
  /** Opens the shared connection. A fault of retry class `later` or `now` is tried again with backoff; anything else ends the process. */
  open(config: Config, tools: WireTools): Promise<OpenPorts>;
}

/** What a process is made of. */
export interface ProcessPlan {
  /** In start order; stopped in reverse. Names are unique. */
  readonly services: readonly Service[];
  /** Services that exist and are not started here: their settings are known and not looked at. */
  readonly elsewhere?: readonly Service[];
  /** Names of services that exist and were not even loaded: nothing of their settings is looked at. */
  readonly unread?: readonly string[];
  readonly wire: Wire;
  readonly sources: ConfigSources;
  /** FLEETLOG_ variables that something else reads. */
  readonly alsoKnown?: readonly string[];
  readonly build: BuildFacts;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Longest delay of the event loop lately, ms. */
  readonly lagMs: () => number;
  /** Default: standard error. */
  readonly logSink?: LogSink;
}

/** The parsed configuration of a process. */
export interface Settings {
  readonly process: ProcessSettings;
  readonly all: Readonly<Record<string, ParsedConfig<unknown>>>;
  readonly warnings: readonly string[];
}

const sectionsOf = (services: readonly Service[]): Record<string, ConfigSchema> =>
  Object.fromEntries(services.map(({ name, config }) => [name, config]));

/** Parses the configuration of all sections. Faults: `CONFIG_INVALID` (never). */
export const readSettings = (plan: ProcessPlan): Settings => {
  invariant(
    new Set(plan.services.map(({ name }) => name)).size === plan.services.length,
    'a service is named twice',
  );
  const { sections, warnings } = parseSections(
    { '': ProcessConfig, [plan.wire.name]: plan.wire.config, ...sectionsOf(plan.services) },
    plan.sources,
    {
      elsewhere: sectionsOf(plan.elsewhere ?? []),
      unread: plan.unread ?? [],
      alsoKnown: ['FLEETLOG_COMMIT', ...(plan.alsoKnown ?? [])],
    },
  );
  const all: Readonly<Record<string, ParsedConfig<unknown>>> = sections;
  return { process: sections[''].config, all, warnings };
};
