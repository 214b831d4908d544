// A service is a value: its name, its configuration, and what it runs. It holds no loop, signal handler or exit of its own;
// run-service.ts gives it everything and drains it.
import { emptyConfig, type ConfigSchema } from '#libs/config/schema.ts';
import type { RequestMessage } from '#libs/ports/requests.ts';
import type { Loop, ServiceContext } from './context.ts';

/** A request subject that the service answers; its instances share the requests. Served after `start`, stopped first in the drain. */
export interface ServedRequest {
  readonly subject: string;
  /** Default: the name of the service. */
  readonly group?: string;
  /** What it does, for whoever looks at the service with a tool. */
  readonly means?: string;
  handle(
    message: RequestMessage,
  ): Promise<{ readonly headers?: Readonly<Record<string, string>>; readonly body: Uint8Array }>;
}

/** What `start` leaves running besides loops. `stop` ends the intake, finishes what is in hand and closes; called once, in the drain. */
export interface Started {
  stop(): Promise<void>;
}

/** A service. All parts are optional; the order is: `start`, then `loops`, then `requests`. */
export interface Service<Config = unknown> {
  /** Kebab-case; also the section of its configuration (`FLEETLOG_<NAME>_…`). */
  readonly name: string;
  readonly config: ConfigSchema<Config>;
  /**
   * Brings up what is not a loop (an HTTP server, a child process). A fault of retry class `later` or `now` is tried again with backoff;
   * `never`, or anything else, ends the process.
   */
  start?(context: ServiceContext<Config>): Promise<Started | void> | Started | void;
  /** The supervised loops: consumers, projections, timers. */
  loops?(context: ServiceContext<Config>): readonly Loop[];
  requests?(context: ServiceContext<Config>): readonly ServedRequest[];
}

type Definition<Config> = Omit<Service<Config>, 'config'>;

/**
 * Defines a service.
 * `defineService({ name: 'tasks', config: configSchema({ … }), loops: (context) => [{ name: 'commands', run: (signal) => … }] })`
 */
export const defineService = <Config = Record<string, never>>(
  definition: Definition<Config> & { readonly config?: ConfigSchema<Config> },
): Service<Config> => {
  const { config = emptyConfig as unknown as ConfigSchema<Config>, ...rest } = definition;
  return { ...rest, config };
};
