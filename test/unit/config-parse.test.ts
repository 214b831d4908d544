// Configuration: precedence, the one message about every mistake, secrets, warnings.
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { duration, flag, integer, list, oneOf, port, secret, text, url } from '#libs/config/fields.ts';
import { parseConfig, parseSections } from '#libs/config/parse.ts';
import { configSchema } from '#libs/config/schema.ts';
import type { ConfigSources } from '#libs/config/sources.ts';
import { Fault } from '#libs/kernel/fault.ts';

const noFile = (path: string): string => {
  throw new Error(`ENOENT: no such file or directory, open '${path}'`);
};

const sources = (given: Partial<ConfigSources>): ConfigSources => ({
  options: {},
  environment: {},
  readFile: noFile,
  ...given,
});

const withFile = (content: unknown, rest: Partial<ConfigSources> = {}): ConfigSources =>
  sources({ filePath: 'fleetlog.json', readFile: () => JSON.stringify(content), ...rest });

/** The message of the fault that `parse` throws. */
const complaintOf = (parse: () => unknown): string => {
  try {
    parse();
  } catch (error) {
    if (error instanceof Fault && error.code === 'CONFIG_INVALID' && error.retry === 'never')
      return error.message;
    throw error;
  }
  throw new Error('it was accepted');
};

const Tasks = configSchema({
  leaseMs: duration({ min: 1_000, max: 3_600_000 }).default(30_000),
  maxRuns: integer({ min: 1 }).default(4),
  apiToken: secret().optional(),
});

describe('precedence', () => {
  const everywhere = {
    options: { leaseMs: '1m' },
    environment: { FLEETLOG_LEASE_MS: '2m' },
  };

  test('a flag wins over the environment, that over the file, that over the default', () => {
    const file = { leaseMs: '3m' };
    const parse = (given: Partial<ConfigSources>) => parseConfig(Tasks, withFile(file, given));
    expect(parse(everywhere).config.leaseMs).toBe(60_000);
    expect(parse({ environment: everywhere.environment }).config.leaseMs).toBe(120_000);
    expect(parse({}).config.leaseMs).toBe(180_000);
    expect(parseConfig(Tasks, sources({})).config.leaseMs).toBe(30_000);
  });

  test('the origin of each value is known', () => {
    expect(parseConfig(Tasks, withFile({ maxRuns: 9 }, everywhere)).origins).toEqual({
      leaseMs: '--lease-ms',
      maxRuns: 'maxRuns in fleetlog.json',
      apiToken: 'default',
    });
  });

  test('an empty variable and an undefined flag count as not given', () => {
    const given = sources({ options: { leaseMs: undefined }, environment: { FLEETLOG_LEASE_MS: '' } });
    expect(parseConfig(Tasks, given).config.leaseMs).toBe(30_000);
  });

  test('sections have their own names at each source', () => {
    const parse = (given: ConfigSources) =>
      parseSections({ '': configSchema({ logLevel: text().default('info') }), tasks: Tasks }, given);
    expect(parse(sources({ options: { tasksLeaseMs: 5_000 } })).sections.tasks.config.leaseMs).toBe(5_000);
    expect(
      parse(sources({ environment: { FLEETLOG_TASKS_LEASE_MS: '5s' } })).sections.tasks.config.leaseMs,
    ).toBe(5_000);
    const { sections } = parse(withFile({ logLevel: 'warn', tasks: { leaseMs: '5s' } }));
    expect(sections.tasks.config.leaseMs).toBe(5_000);
    expect(sections[''].config.logLevel).toBe('warn');
  });
});

describe('mistakes', () => {
  const Many = configSchema({
    leaseMs: duration({ min: 1_000, max: 3_600_000 }).default(30_000),
    maxRuns: integer({ min: 1, max: 64 }),
    level: oneOf(['info', 'warn']).default('info'),
    port: port().default(0),
    quiet: flag().default(false),
    hosts: list().default([]),
    server: url(['nats', 'tls']).default('nats://127.0.0.1:4222'),
    apiToken: secret(),
  });

  test('all of them are in one message, each with what was given, by whom, and what is expected', () => {
    const given = withFile(
      { hosts: [1], apiToken: 5 },
      {
        options: { leaseMs: '30 parsecs', quiet: 'maybe' },
        environment: { FLEETLOG_PORT: '70000', FLEETLOG_LEVEL: 'loud', FLEETLOG_SERVER: 'http://u:p@host/' },
      },
    );
    expect(complaintOf(() => parseConfig(Many, given))).toBe(
      [
        'the configuration has 8 mistakes:',
        '  leaseMs: got "30 parsecs" from --lease-ms; expected a duration such as 500ms, 30s, 5m or 1h30m, or milliseconds, at least 1s, at most 1h',
        '  maxRuns: missing; expected a whole number, at least 1, at most 64; set --max-runs, FLEETLOG_MAX_RUNS or maxRuns in the config file',
        '  level: got "loud" from FLEETLOG_LEVEL; expected one of info, warn',
        '  port: got "70000" from FLEETLOG_PORT; expected a port, 0 to 65535 (0: any free one)',
        '  quiet: got "maybe" from --quiet; expected true or false',
        '  hosts: got [1] from hosts in fleetlog.json; expected a comma-separated list',
        '  server: got "http://[redacted:userinfo]@host/" from FLEETLOG_SERVER; expected a URL starting with nats:// or tls://',
        '  apiToken: got [redacted] from apiToken in fleetlog.json; expected a secret',
      ].join('\n'),
    );
  });

  test('a single mistake is said in the singular', () => {
    expect(complaintOf(() => parseConfig(configSchema({ apiToken: secret() }), sources({})))).toBe(
      'the configuration has a mistake:\n  apiToken: missing; expected a secret; set FLEETLOG_API_TOKEN or FLEETLOG_API_TOKEN_FILE',
    );
  });

  test('mistakes of several sections are in the one message', () => {
    const given = sources({ environment: { FLEETLOG_TASKS_LEASE_MS: 'x', FLEETLOG_RUNS_LEASE_MS: 'y' } });
    const message = complaintOf(() => parseSections({ tasks: Tasks, runs: Tasks }, given));
    expect(message).toContain('2 mistakes');
    expect(message).toContain('tasks.leaseMs: got "x" from FLEETLOG_TASKS_LEASE_MS');
    expect(message).toContain('runs.leaseMs: got "y" from FLEETLOG_RUNS_LEASE_MS');
  });

  test('of sections that were not loaded only the name is known: nothing in them is looked at', () => {
    const given = withFile(
      { tasks: { leaseMs: '5s' }, gateway: { anything: 1 } },
      { environment: { FLEETLOG_GATEWAY_ANYTHING: '1', FLEETLOG_GATEWY_PORT: '1' } },
    );
    const { sections, warnings } = parseSections({ tasks: Tasks }, given, { unread: ['gateway'] });
    expect(sections.tasks.config.leaseMs).toBe(5000);
    expect(warnings).toEqual([expect.stringContaining('FLEETLOG_GATEWY_PORT')]);
    expect(complaintOf(() => parseSections({ tasks: Tasks }, given))).toContain('gateway: unknown name');
  });

  test('a rule over several fields is reported under its section', () => {
    const Range = configSchema({ min: integer().default(1), max: integer().default(2) }).refine(
      ({ min, max }) => min <= max,
      { message: 'min must not be above max' },
    );
    expect(complaintOf(() => parseSections({ pool: Range }, sources({ options: { poolMin: 3 } })))).toBe(
      'the configuration has a mistake:\n  pool: min must not be above max',
    );
  });

  test('a long value is cut', () => {
    const message = complaintOf(() => parseConfig(Tasks, sources({ options: { maxRuns: 'x'.repeat(500) } })));
    expect(message.length).toBeLessThan(200);
    expect(message).toContain('xxx... from --max-runs');
  });
});

describe('the config file', () => {
  test('one that cannot be read, is no JSON, or is no object is a mistake among the others', () => {
    const parse = (readFile: (path: string) => string) => () =>
      parseConfig(Tasks, sources({ filePath: 'fleetlog.json', readFile, options: { maxRuns: 0 } }));
    expect(complaintOf(parse(noFile))).toBe(
      [
        'the configuration has 2 mistakes:',
        "  config file fleetlog.json: ENOENT: no such file or directory, open 'fleetlog.json'",
        '  maxRuns: got 0 from --max-runs; expected a whole number, at least 1',
      ].join('\n'),
    );
    expect(complaintOf(parse(() => '{"maxRuns": '))).toMatch(/config file fleetlog\.json: .*JSON/);
    expect(complaintOf(parse(() => '[]'))).toContain('config file fleetlog.json: expected a JSON object');
  });

  test('names that nobody knows are mistakes, with the nearest known one', () => {
    const given = withFile({ maxRun: 5, tasks: { leasMs: 1 }, nonsense: 1, other: { anything: 1 } });
    const message = complaintOf(() =>
      parseSections({ '': configSchema({ maxRuns: integer().default(1) }), tasks: Tasks }, given, {
        elsewhere: { other: configSchema({ anything: text() }) },
      }),
    );
    expect(message.split('\n').slice(1)).toEqual([
      '  maxRun: unknown name in fleetlog.json; did you mean maxRuns?',
      '  tasks.leasMs: unknown name in fleetlog.json; did you mean leaseMs?',
      '  nonsense: unknown name in fleetlog.json',
    ]);
  });

  test('null is a mistake, and so is a section that is no object', () => {
    expect(complaintOf(() => parseConfig(Tasks, withFile({ maxRuns: null })))).toContain(
      'maxRuns: null in the config file; leave it out instead',
    );
    expect(complaintOf(() => parseSections({ tasks: Tasks }, withFile({ tasks: 5 })))).toContain(
      "tasks: expected an object of the section's fields in fleetlog.json",
    );
  });
});

describe('secrets', () => {
  const value = 'hunter2hunter2';

  test('a secret shows itself only when it is asked to', () => {
    const { config, secrets } = parseConfig(Tasks, sources({ environment: { FLEETLOG_API_TOKEN: value } }));
    const { apiToken } = config;
    expect(apiToken?.reveal()).toBe(value);
    expect(String(apiToken)).toBe('[redacted]');
    expect(JSON.stringify({ apiToken })).toBe('{"apiToken":"[redacted]"}');
    expect(inspect({ apiToken })).toBe('{ apiToken: [redacted] }');
    expect(secrets).toEqual([apiToken]);
  });

  test('a secret is read from a file, without its last line feed', () => {
    const given = sources({
      environment: { FLEETLOG_API_TOKEN_FILE: '/run/secrets/token' },
      readFile: (path) => (path === '/run/secrets/token' ? `${value}\n` : noFile(path)),
    });
    const parsed = parseConfig(Tasks, given);
    expect(parsed.config.apiToken?.reveal()).toBe(value);
    expect(parsed.origins['apiToken']).toBe('FLEETLOG_API_TOKEN_FILE (/run/secrets/token)');
    expect(parsed.warnings).toEqual([]);
  });

  test('a secret in a file may change: the next use has it, and whoever hides it is told; a file half written changes nothing', () => {
    const file = { text: `${value}\n` };
    const readFile = (path: string): string => (file.text === 'gone' ? noFile(path) : file.text);
    const environment = { FLEETLOG_API_TOKEN_FILE: '/run/secrets/token' };
    const { apiToken } = parseConfig(Tasks, sources({ environment, readFile })).config;
    const heard: string[] = [];
    apiToken?.onChange((latest) => heard.push(latest));
    expect(apiToken?.revealLatest()).toBe(value);
    file.text = 'another-secret\n';
    expect(apiToken?.reveal()).toBe(value);
    expect(apiToken?.revealLatest()).toBe('another-secret');
    for (const text of ['', 'gone']) {
      file.text = text;
      expect(apiToken?.revealLatest()).toBe('another-secret');
    }
    expect(apiToken?.reveal()).toBe('another-secret');
    expect(heard).toEqual(['another-secret']);
    expect(JSON.stringify({ apiToken })).not.toContain('another-secret');
  });

  test('a secret file that cannot be read is a mistake, and so is giving both', () => {
    const environment = { FLEETLOG_API_TOKEN: value, FLEETLOG_API_TOKEN_FILE: '/nowhere' };
    expect(
      complaintOf(() => parseConfig(Tasks, sources({ environment })))
        .split('\n')
        .slice(1),
    ).toEqual([
      '  apiToken: given by both FLEETLOG_API_TOKEN and FLEETLOG_API_TOKEN_FILE; expected one of them',
      "  apiToken: FLEETLOG_API_TOKEN_FILE names /nowhere: ENOENT: no such file or directory, open '/nowhere'",
    ]);
  });

  test('a secret is refused as a flag and not repeated', () => {
    const message = complaintOf(() => parseConfig(Tasks, sources({ options: { apiToken: value } })));
    expect(message).toContain(
      'apiToken: a secret is not accepted as --api-token (every user of the machine could read it); set FLEETLOG_API_TOKEN or FLEETLOG_API_TOKEN_FILE',
    );
    expect(message).not.toContain(value);
  });

  test('the _FILE form exists for secrets only', () => {
    const given = sources({ environment: { FLEETLOG_MAX_RUNS_FILE: '/nowhere' } });
    const { config, warnings } = parseConfig(Tasks, given);
    expect(config.maxRuns).toBe(4);
    expect(warnings).toEqual([
      'unknown variable FLEETLOG_MAX_RUNS_FILE is ignored; did you mean FLEETLOG_MAX_RUNS?',
    ]);
  });
});

describe('unknown variables', () => {
  test('are warnings with the nearest known name, unless something else knows them', () => {
    const environment = {
      FLEETLOG_LEASE_MSS: '1s',
      FLEETLOG_SOMETHING_ELSE_ENTIRELY: '1',
      FLEETLOG_FOO: 'near to nothing, but for what all have in common',
      FLEETLOG_NATS_SERVER: '/usr/bin/nats-server',
      FLEETLOG_OTHER_SIZE: 'not looked at',
      FLEETLOG_CONFIG: '',
      HOME: '/root',
    };
    const { warnings } = parseConfig(Tasks, sources({ environment }), {
      alsoKnown: ['FLEETLOG_NATS_SERVER'],
      elsewhere: { other: configSchema({ size: integer() }) },
    });
    expect(warnings).toEqual([
      'unknown variable FLEETLOG_LEASE_MSS is ignored; did you mean FLEETLOG_LEASE_MS?',
      'unknown variable FLEETLOG_SOMETHING_ELSE_ENTIRELY is ignored',
      'unknown variable FLEETLOG_FOO is ignored',
    ]);
  });
});
