// What `node services/main.mjs <name…|all> [--flag value…]` does: services in one process, on one connection, with one health
// server. It provisions nothing and starts no broker: `fleetlog provision` and `fleetlog up` do.
import { configHelp, describeConfig } from '#libs/config/describe.ts';
import { parseFlags, type ParsedFlags } from '#libs/config/flags.ts';
import { toFault } from '#libs/kernel/fault.ts';
import { ProcessConfig } from '#libs/service/process-config.ts';
import { runProcess } from '#libs/service/run-process.ts';
import { COMMAND_LINE_VARIABLES } from './known-variables.ts';
import { natsWire } from './nats-wire.ts';
import { services } from './registry.ts';

const sections = {
  '': ProcessConfig,
  [natsWire.name]: natsWire.config,
  ...Object.fromEntries(services.map(({ name, config }) => [name, config])),
};

const help = (): string =>
  [
    'Usage: node services/main.mjs <name…|all> [--flag value…]',
    '',
    `Services: ${services.map(({ name }) => name).join(', ')}`,
    '',
    'Every setting is a flag, a variable, or a field of the JSON file named by --config or FLEETLOG_CONFIG.',
    ...Object.entries(sections)
      .filter(([, { shape }]) => Object.keys(shape).length > 0)
      .map(
        ([name, schema]) =>
          `\n${name === '' ? 'process' : name}\n${configHelp(describeConfig(schema, name))}`,
      ),
  ].join('\n');

const fail = (message: string): never => {
  process.stderr.write(`error ARGUMENT_INVALID: ${message}\n\n${help()}\n`);
  process.exit(2);
};

const readArguments = (): ParsedFlags => {
  try {
    return parseFlags(process.argv.slice(2), sections, ['help']);
  } catch (error) {
    return fail(toFault(error).message);
  }
};

/** Reads the command line of this process and runs the services that it names, to their end. */
export const runServiceProcess = async (): Promise<void> => {
  const { options, positionals } = readArguments();
  if (options['help'] === true) return void process.stdout.write(`${help()}\n`);
  if (positionals.length === 0) fail('name at least one service');
  const isAll = positionals.includes('all');
  for (const name of positionals)
    if (name !== 'all' && !services.some((service) => service.name === name))
      fail(`there is no service ${JSON.stringify(name)}`);
  const chosen = services.filter(({ name }) => isAll || positionals.includes(name));
  await runProcess({
    services: chosen,
    elsewhere: services.filter((service) => !chosen.includes(service)),
    alsoKnown: COMMAND_LINE_VARIABLES,
    wire: natsWire,
    options,
  });
};
