// Who may import what: the one table of the project's layers. The first row whose pattern fits a file decides.
// Read by imports.test.ts; nothing else enforces it.

export interface Layer {
  /** What a person calls it in a message. */
  readonly name: string;
  /** Path of the file, from the top of the checkout. */
  readonly files: RegExp;
  /**
   * What it may import besides its own folder: path prefixes, `node:` modules, `npm:` packages (`npm:@scope/` for a whole scope).
   */
  readonly mayImport: readonly string[];
  /** What it may import as types only. */
  readonly typesOnly?: readonly string[];
  /** Taken away again from `mayImport`. */
  readonly except?: readonly string[];
}

const CORE = ['libs/kernel/', 'libs/ports/'];
const EVERYTHING = ['libs/', 'streams/', 'services/', 'node:', 'npm:'];
/** Known to composition roots only: everybody else gets what these make as a port. */
const IMPLEMENTATIONS = ['libs/nats/', 'libs/memory/', 'libs/broker/', 'libs/system/'];

export const LAYERS: readonly Layer[] = [
  { name: 'libs/kernel', files: /^libs\/kernel\//, mayImport: [] },
  { name: 'libs/ports', files: /^libs\/ports\//, mayImport: ['libs/kernel/'] },
  {
    name: 'libs/nats',
    files: /^libs\/nats\//,
    mayImport: [...CORE, 'libs/topology/', 'node:', 'npm:@nats-io/', 'npm:zod'],
  },
  { name: 'libs/memory', files: /^libs\/memory\//, mayImport: [...CORE, 'libs/topology/', 'node:crypto'] },
  { name: 'libs/topology', files: /^libs\/topology\//, mayImport: [...CORE, 'npm:zod'] },
  { name: 'libs/system', files: /^libs\/system\//, mayImport: [...CORE, 'node:', 'npm:ulid'] },
  {
    name: 'libs/telemetry',
    files: /^libs\/telemetry\//,
    mayImport: [...CORE, 'libs/redaction/', 'node:', 'npm:pino', 'npm:prom-client'],
  },
  {
    name: 'libs/{commands,consumers,projections,effects,timers}',
    files: /^libs\/(?:commands|consumers|projections|effects|timers)\//,
    mayImport: [...CORE, 'libs/telemetry/', 'libs/consumers/', 'npm:zod'],
  },
  {
    name: 'libs/service',
    files: /^libs\/service\//,
    mayImport: ['libs/', 'node:', 'npm:zod'],
    except: ['libs/nats/', 'libs/memory/', 'libs/broker/'],
  },
  {
    name: 'libs/cron',
    files: /^libs\/cron\//,
    mayImport: [...CORE, 'npm:croner'],
  },
  {
    name: 'libs/config',
    files: /^libs\/config\//,
    mayImport: [...CORE, 'libs/redaction/', 'node:', 'npm:zod'],
  },
  {
    name: 'libs/broker',
    files: /^libs\/broker\//,
    mayImport: [...CORE, 'libs/processes/', 'libs/local-http/', 'node:', 'npm:zod'],
  },
  {
    name: 'libs (outbox, processes, redaction, …)',
    files: /^libs\//,
    mayImport: [...CORE, 'node:', 'npm:zod'],
  },
  {
    name: 'streams, as a program that writes the generated pages',
    files: /^streams\/generate[^/]*\.ts$/,
    mayImport: ['streams/', 'node:', 'npm:zod', 'npm:yaml'],
    typesOnly: ['libs/'],
  },
  {
    // What several services must not judge differently; none of them may import another.
    name: 'streams, as a rule that services share',
    files: /^streams\/[^/]+\.policy\.ts$/,
    mayImport: ['streams/', 'libs/kernel/'],
  },
  {
    name: 'streams',
    files: /^streams\//,
    mayImport: ['streams/', 'libs/kernel/', 'npm:zod'],
    typesOnly: ['libs/topology/', 'libs/ports/'],
  },
  {
    name: 'pure files of a service',
    files: /^services\/[^/]+\/.*\.(?:decider|policy|view)\.ts$/,
    mayImport: ['streams/', 'libs/kernel/'],
  },
  {
    // The files at the top of services/: they put a process together and hold no policy of their own.
    name: 'composition roots',
    files: /^services\/[^/]+\.ts$/,
    mayImport: EVERYTHING,
  },
  {
    name: 'services/gateway',
    files: /^services\/gateway\//,
    mayImport: ['libs/', 'streams/', 'node:', 'npm:zod', 'npm:hono', 'npm:@hono/'],
    except: IMPLEMENTATIONS,
  },
  {
    name: 'services/client, which programs of others use as well',
    files: /^services\/client\//,
    mayImport: [...CORE, 'libs/system/', 'streams/', 'npm:zod', 'npm:eventsource-parser'],
  },
  {
    name: 'services/cli',
    files: /^services\/cli\//,
    mayImport: ['services/client/', 'libs/', 'streams/', 'node:', 'npm:zod', 'npm:commander', 'npm:yaml'],
    except: IMPLEMENTATIONS,
  },
  {
    name: 'services/runner/mcp',
    files: /^services\/runner\/mcp\//,
    mayImport: ['libs/', 'streams/', 'node:', 'npm:zod', 'npm:@modelcontextprotocol/server'],
    except: IMPLEMENTATIONS,
  },
  {
    name: 'services',
    files: /^services\//,
    mayImport: ['libs/', 'streams/', 'node:', 'npm:zod'],
    except: IMPLEMENTATIONS,
  },
  { name: 'test', files: /^(?:test\/|vitest\.config\.ts$)/, mayImport: [...EVERYTHING, 'test/'] },
];

/** Names that say nothing, or play a role, instead of naming a job. */
export const BANNED_NAMES: ReadonlySet<string> = new Set([
  'index',
  'types',
  'utils',
  'util',
  'helpers',
  'helper',
  'common',
  'shared',
  'misc',
  'manager',
  'base',
  'core',
]);

export const PURE_FILE = /\.(?:decider|policy|view)\.ts$/;
/** Without blank lines and comments, as the linter counts. */
export const MAX_LINES = 300;
