// Starts services: `node services/main.ts <name…|all> [--flag value…]`. One process, one connection, one health server.
// It provisions nothing and starts no broker: `fleetlog provision` and `fleetlog up` do.
import { configHelp, describeConfig } from '#libs/config/describe.ts';
import { ProcessConfig } from '#libs/service/process-config.ts';
import { runProcess } from '#libs/service/run-process.ts';
import { parseArgs } from 'node:util';
import { natsWire } from './nats-wire.ts';
import { services } from './registry.ts';

const camelCase = (flag: string): string =>
  flag.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

const help = (): string => {
  const sections = [
    ['', ProcessConfig],
    [natsWire.name, natsWire.config],
  ] as const;
  return [
    'Usage: node services/main.ts <name…|all> [--flag value…]',
    '',
    `Services: ${services.map(({ name }) => name).join(', ')}`,
    '',
    'Every setting is a flag, a variable, or a field of the JSON file named by --config or FLEETLOG_CONFIG.',
    '',
    ...sections.map(([name, schema]) => configHelp(describeConfig(schema, name))),
    ...services.map(({ name, config }) => `\n${name}\n${configHelp(describeConfig(config, name))}`),
  ].join('\n');
};

const fail = (message: string): never => {
  process.stderr.write(`error ARGUMENT_INVALID: ${message}\n\n${help()}\n`);
  process.exit(2);
};

const main = async (): Promise<void> => {
  const { values, positionals } = parseArgs({
    strict: false,
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' } },
  });
  if (values['help'] === true) return void process.stdout.write(`${help()}\n`);
  if (positionals.length === 0) fail('name at least one service');
  const isAll = positionals.includes('all');
  for (const name of positionals)
    if (name !== 'all' && !services.some((service) => service.name === name))
      fail(`there is no service ${JSON.stringify(name)}`);
  const chosen = services.filter(({ name }) => isAll || positionals.includes(name));
  await runProcess({
    services: chosen,
    elsewhere: services.filter((service) => !chosen.includes(service)),
    wire: natsWire,
    options: Object.fromEntries(Object.entries(values).map(([flag, value]) => [camelCase(flag), value])),
  });
};

await main();
