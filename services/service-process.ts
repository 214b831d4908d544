// What `node services/main.mjs <name…|all> [--flag value…]` does: services in one process, on one connection, with one health
// server. It provisions nothing and starts no broker: `fleetlog provision` and `fleetlog up` do.
import { configHelp, describeConfig } from '#libs/config/describe.ts';
import { parseFlags, type ParsedFlags } from '#libs/config/flags.ts';
import type { ConfigSchema } from '#libs/config/schema.ts';
import { toFault } from '#libs/kernel/fault.ts';
import type { Service } from '#libs/service/define-service.ts';
import { ProcessConfig } from '#libs/service/process-config.ts';
import { runProcess } from '#libs/service/run-process.ts';
import { COMMAND_LINE_VARIABLES } from './known-variables.ts';
import { natsWire } from './nats-wire.ts';
import { loadServices, otherNames, serviceNames } from './registry.ts';

type Sections = Readonly<Record<string, ConfigSchema>>;

const sectionsOf = (services: readonly Service[]): Sections => ({
  '': ProcessConfig,
  [natsWire.name]: natsWire.config,
  ...Object.fromEntries(services.map(({ name, config }) => [name, config])),
});

const help = (sections: Sections): string =>
  [
    'Usage: node services/main.mjs <name…|all> [--flag value…]',
    '',
    `Services: ${serviceNames.join(', ')}`,
    '',
    'Every setting is a flag, a variable, or a field of the JSON file named by --config or FLEETLOG_CONFIG.',
    ...Object.entries(sections)
      .filter(([, { shape }]) => Object.keys(shape).length > 0)
      .map(
        ([name, schema]) =>
          `\n${name === '' ? 'process' : name}\n${configHelp(describeConfig(schema, name))}`,
      ),
  ].join('\n');

const fail = async (message: string): Promise<never> => {
  const sections = sectionsOf(await loadServices(serviceNames));
  process.stderr.write(`error ARGUMENT_INVALID: ${message}\n\n${help(sections)}\n`);
  process.exit(2);
};

/** The services that the words before the first flag name; all of them where that is not clear. */
const namedServices = (argv: readonly string[]): readonly string[] => {
  const firstFlag = argv.findIndex((word) => word.startsWith('-'));
  const words = firstFlag < 0 ? argv : argv.slice(0, firstFlag);
  const isClear = words.length > 0 && words.every((word) => serviceNames.includes(word));
  return isClear && !argv.includes('--help') ? words : serviceNames;
};

/** Reads the command line of this process and runs the services that it names, to their end. */
export const runServiceProcess = async (): Promise<void> => {
  const argv = process.argv.slice(2);
  const loaded = await loadServices(namedServices(argv));
  const sections = sectionsOf(loaded);
  let flags: ParsedFlags;
  try {
    flags = parseFlags(argv, sections, ['help']);
  } catch (error) {
    return fail(toFault(error).message);
  }
  const { options, positionals } = flags;
  if (options['help'] === true) return void process.stdout.write(`${help(sections)}\n`);
  if (positionals.length === 0) return fail('name at least one service');
  const isAll = positionals.includes('all');
  for (const name of positionals)
    if (name !== 'all' && !serviceNames.includes(name))
      return fail(`there is no service ${JSON.stringify(name)}`);
  const chosen = isAll
    ? await loadServices(serviceNames)
    : loaded.filter(({ name }) => positionals.includes(name));
  const missing = isAll ? undefined : positionals.find((name) => !chosen.some((one) => one.name === name));
  if (missing !== undefined) return fail(`name ${missing} before the first flag`);
  await runProcess({
    services: chosen,
    unread: otherNames(chosen),
    alsoKnown: COMMAND_LINE_VARIABLES,
    wire: natsWire,
    options,
  });
};
