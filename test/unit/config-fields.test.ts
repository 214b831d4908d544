// The field types, durations and sizes, and what is printed about a schema.
import { describe, expect, test } from 'vitest';
import { configHelp, configMarkdown, describeConfig, printConfig } from '#libs/config/describe.ts';
import { formatBytes, formatDuration, parseBytes, parseDuration } from '#libs/config/duration.ts';
import {
  decimal,
  duration,
  flag,
  integer,
  list,
  oneOf,
  port,
  secret,
  size,
  text,
  url,
} from '#libs/config/fields.ts';
import { parseFlags } from '#libs/config/flags.ts';
import { nearest } from '#libs/config/nearest.ts';
import { parseConfig } from '#libs/config/parse.ts';
import { configSchema, namesOf } from '#libs/config/schema.ts';
import { configSources } from '#libs/config/sources.ts';

describe('durations', () => {
  test.each([
    ['250', 250],
    ['250ms', 250],
    ['30s', 30_000],
    [' 1.5S ', 1_500],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['0s', 0],
  ])('%j is %d ms', (given, expected) => {
    expect(parseDuration(given)).toBe(expected);
  });

  test.each(['', '30 s', '-1s', '1w', 's', '1e3', '1s2', 'NaN', '1..5s', '9'.repeat(40)])(
    '%j is none',
    (given) => {
      expect(parseDuration(given)).toBeUndefined();
    },
  );

  test('what is printed is read back as the same duration', () => {
    for (const ms of [0, 1, 999, 1_000, 1_500, 60_000, 90_000, 5_400_000, 86_400_000, 90_061_000]) {
      expect(parseDuration(formatDuration(ms))).toBe(ms);
    }
    expect(formatDuration(90_061_000)).toBe('1d1h1m1s');
  });
});

describe('sizes', () => {
  test('carry binary or decimal units', () => {
    expect([parseBytes('4096'), parseBytes('64KiB'), parseBytes('10 MB'), parseBytes('1.5GiB')]).toEqual([
      4_096, 65_536, 10_000_000, 1_610_612_736,
    ]);
    for (const wrong of ['', '-1', '1TBs', 'KiB', '1e9']) expect(parseBytes(wrong)).toBeUndefined();
    expect([formatBytes(65_536), formatBytes(1_000), formatBytes(0)]).toEqual(['64KiB', '1000B', '0B']);
  });
});

describe('fields', () => {
  const accepts = (
    type: { safeParse: (given: unknown) => { success: boolean; data?: unknown } },
    given: unknown,
  ): unknown => type.safeParse(given).data;

  test('accept text and the native value', () => {
    expect([accepts(integer(), '12'), accepts(integer(), 12), accepts(integer(), '-3')]).toEqual([
      12, 12, -3,
    ]);
    expect([accepts(decimal(), '0.5'), accepts(decimal(), 0.5)]).toEqual([0.5, 0.5]);
    expect([accepts(flag(), 'Yes'), accepts(flag(), '0'), accepts(flag(), true)]).toEqual([
      true,
      false,
      true,
    ]);
    expect([accepts(duration(), '2s'), accepts(duration(), 2_000)]).toEqual([2_000, 2_000]);
    expect([accepts(size(), '1KiB'), accepts(size(), 1_024)]).toEqual([1_024, 1_024]);
    expect([accepts(port(), '0'), accepts(port(), 65_535)]).toEqual([0, 65_535]);
    expect([accepts(list(), 'a, b'), accepts(list(), ['a', 'b'])]).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
    expect(accepts(oneOf(['a', 'b']), 'b')).toBe('b');
    expect(accepts(url(['http']), 'http://x/')).toBe('http://x/');
    expect(accepts(text({ pattern: /^[a-z]+$/ }), 'abc')).toBe('abc');
  });

  test.each([
    ['integer', integer({ min: 1, max: 9 }), ['', '0', '10', '1.5', 1.5, true, 'x', null]],
    ['decimal', decimal({ min: 0 }), ['', '-1', 'x', Number.NaN, Infinity]],
    ['flag', flag(), ['', 'maybe', 1]],
    ['duration', duration({ min: 1 }), ['', '0', -1, 1.5, true]],
    ['port', port(), ['', '65536', '-1', 1.5, 'http']],
    ['list', list(), ['a,,b', [1], 5]],
    ['list of names', list({ pattern: /^[a-z]+$/, expects: 'a word' }), ['a,B', ['a', '1'], 'a,']],
    ['oneOf', oneOf(['a']), ['A', '']],
    ['url', url(['http']), ['x', 'ftp://x/']],
    ['text', text(), ['', '  ', 5]],
    ['secret', secret(), ['', 5]],
  ])('%s refuses what it is not', (_, type, wrong) => {
    for (const given of wrong) expect(type.safeParse(given).success, JSON.stringify(given)).toBe(false);
  });
});

const Sample = configSchema({
  leaseMs: duration({ min: 1_000 }).default(30_000).describe('How long a claim holds.'),
  maxBodyBytes: size().default(65_536),
  server: url(['nats']).describe('Where the broker is.'),
  apiToken: secret().optional().describe('Who we are.'),
});

describe('what is printed about a schema', () => {
  test('a row a field, in order, with its names, default and description', () => {
    expect(describeConfig(Sample, 'tasks')[0]).toEqual({
      path: 'tasks.leaseMs',
      flag: '--tasks-lease-ms',
      variable: 'FLEETLOG_TASKS_LEASE_MS',
      expects: 'a duration such as 500ms, 30s, 5m or 1h30m, or milliseconds, at least 1s',
      required: false,
      isSecret: false,
      description: 'How long a claim holds.',
      defaultValue: '30s',
    });
    expect(describeConfig(Sample).map(({ required, isSecret }) => [required, isSecret])).toEqual([
      [false, false],
      [false, false],
      [true, false],
      [false, true],
    ]);
  });

  test('a Markdown table', () => {
    expect(configMarkdown(describeConfig(Sample)).split('\n').slice(2)).toEqual([
      '| `FLEETLOG_LEASE_MS` | `--lease-ms` | `30s` | a duration such as 500ms, 30s, 5m or 1h30m, or milliseconds, at least 1s | How long a claim holds. |',
      '| `FLEETLOG_MAX_BODY_BYTES` | `--max-body-bytes` | `64KiB` | a size such as 64KiB or 10MB, or bytes |  |',
      '| `FLEETLOG_SERVER` | `--server` | `required` | a URL starting with nats:// | Where the broker is. |',
      '| `FLEETLOG_API_TOKEN`, `FLEETLOG_API_TOKEN_FILE` | – | `none` | a secret | Who we are. |',
    ]);
  });

  test('lines for --help', () => {
    const line = (left: string, right: string): string =>
      `  ${left.padEnd('--max-body-bytes, FLEETLOG_MAX_BODY_BYTES'.length)}  ${right}`;
    expect(configHelp(describeConfig(Sample)).split('\n')).toEqual([
      line('--lease-ms, FLEETLOG_LEASE_MS', 'How long a claim holds. (30s)'),
      line('--max-body-bytes, FLEETLOG_MAX_BODY_BYTES', 'a size such as 64KiB or 10MB, or bytes (64KiB)'),
      line('--server, FLEETLOG_SERVER', 'Where the broker is. (required)'),
      line('FLEETLOG_API_TOKEN[_FILE]', 'Who we are. (none)'),
    ]);
  });

  test('the start line has every value and the origin of what is given, and no secret', () => {
    const environment = { FLEETLOG_SERVER: 'nats://u:p@host', FLEETLOG_API_TOKEN: 'hunter2hunter2' };
    const printed = printConfig(parseConfig(Sample, configSources({}, environment)));
    expect(printed).toEqual({
      values: {
        leaseMs: 30_000,
        maxBodyBytes: 65_536,
        server: 'nats://[redacted:userinfo]@host',
        apiToken: '[redacted]',
      },
      given: ['server from FLEETLOG_SERVER', 'apiToken from FLEETLOG_API_TOKEN'],
    });
  });
});

describe('the command line', () => {
  const sections = { '': configSchema({ logLevel: text(), quiet: flag() }), tasks: Sample };
  const parse = (...args: readonly string[]) => parseFlags(args, sections, ['help']);

  test('is taken apart by the schemas', () => {
    expect(
      parse('all', '--log-level', 'debug', '--tasks-lease-ms=5s', '--quiet', 'runs', '--config', 'x.json'),
    ).toEqual({
      options: { logLevel: 'debug', tasksLeaseMs: '5s', quiet: true, config: 'x.json' },
      positionals: ['all', 'runs'],
    });
    expect(parse('--no-quiet', '--help', '--', '--log-level')).toEqual({
      options: { quiet: false, help: true },
      positionals: ['--log-level'],
    });
    expect(parse('--log-level', 'a', '--log-level=b', '--quiet=no').options).toEqual({
      logLevel: 'b',
      quiet: 'no',
    });
  });

  test.each([
    [['--log-levl', 'debug'], 'there is no flag --log-levl; did you mean --log-level?'],
    [['--zzzzzzzzzzzzz'], 'there is no flag --zzzzzzzzzzzzz'],
    [['-q'], 'there is no flag -q'],
    [['--no-log-level'], 'there is no flag --no-log-level; did you mean --log-level?'],
    [['--log-level'], '--log-level needs a value'],
  ])('%j is refused: %s', (args, message) => {
    expect(() => parse(...args)).toThrow(
      expect.objectContaining({ code: 'ARGUMENT_INVALID', retry: 'never', message }),
    );
  });
});

describe('names', () => {
  test('of a field follow from its section and its name', () => {
    expect(namesOf('', 'leaseMs')).toEqual({
      path: 'leaseMs',
      variable: 'FLEETLOG_LEASE_MS',
      flag: '--lease-ms',
      option: 'leaseMs',
    });
    expect(namesOf('dead-letters', 'keep7Days').variable).toBe('FLEETLOG_DEAD_LETTERS_KEEP7_DAYS');
  });

  test('the nearest name is one that may have been meant', () => {
    expect(nearest('leasMs', ['leaseMs', 'maxRuns'])).toBe('leaseMs');
    expect(nearest('zzz', ['leaseMs', 'maxRuns'])).toBeUndefined();
  });
});
