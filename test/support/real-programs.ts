// Real agent programs of pinned versions, fetched once into the cache of this user, outside every checkout: the newest whose lines
// were measured. Without install scripts: the program of the platform's own package is run directly where there is one.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { locateOptionsFrom } from '#libs/broker/locate.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';

const PLATFORM = `${process.platform}-${process.arch}`;

/** What is driven, by the name of its provider. */
export const REAL_PROGRAMS = {
  claude: {
    package: '@anthropic-ai/claude-code',
    version: '2.1.329',
    program: `@anthropic-ai/claude-code-${PLATFORM}/claude`,
  },
  codex: { package: '@openai/codex', version: '0.169.0', program: '@openai/codex/bin/codex.js' },
} as const;
export type RealProgram = keyof typeof REAL_PROGRAMS;

/** Agents of the Agent Client Protocol, driven by the provider `acp`. The first two bring a program of their own. */
export const REAL_AGENTS = {
  'claude-agent-acp': {
    package: '@agentclientprotocol/claude-agent-acp',
    version: '0.100.0',
    program: '@agentclientprotocol/claude-agent-acp/dist/index.js',
  },
  'codex-acp': {
    package: '@agentclientprotocol/codex-acp',
    version: '2.6.0',
    program: '@agentclientprotocol/codex-acp/dist/index.js',
  },
  gemini: {
    package: '@google/gemini-cli',
    version: '0.61.0',
    program: '@google/gemini-cli/bundle/gemini.js',
  },
  opencode: {
    package: 'opencode-ai',
    version: '1.18.33',
    program: `opencode-${PLATFORM}/bin/opencode`,
  },
} as const;
export type RealAgent = keyof typeof REAL_AGENTS;
const ALL = { ...REAL_PROGRAMS, ...REAL_AGENTS };

const FETCH_WITHIN_MS = 300_000;

/** A search path on which Node is the one that runs this: under an older one npm silently takes an older program. */
export const searchPath = (): string =>
  [dirname(process.execPath), readEnvironment()['PATH'] ?? ''].join(delimiter);

export type Fetched =
  | { readonly kind: 'there'; readonly path: string }
  | { readonly kind: 'missing'; readonly reason: string };

/** Finds the program in the cache, or fetches it. */
export const fetchProgram = (name: RealProgram | RealAgent): Fetched => {
  const { package: from, version, program } = ALL[name];
  const { cacheDir } = locateOptionsFrom(readEnvironment(), systemClock);
  const folder = join(cacheDir, 'programs', `${name}-${version}`);
  const path = join(folder, 'node_modules', program);
  const done = join(folder, 'complete');
  if (existsSync(done) && existsSync(path)) return { kind: 'there', path };
  if (readEnvironment()['FLEETLOG_OFFLINE'] === '1')
    return { kind: 'missing', reason: `${name} ${version} is not in ${folder}, and nothing may be fetched` };
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"private":true}');
    const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error'];
    execFileSync('npm', ['install', ...options, `${from}@${version}`], {
      cwd: folder,
      env: { ...readEnvironment(), PATH: searchPath() },
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: FETCH_WITHIN_MS,
    });
    if (!existsSync(path))
      return { kind: 'missing', reason: `${from} ${version} has no program for ${PLATFORM}` };
    writeFileSync(done, '');
    return { kind: 'there', path };
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    return { kind: 'missing', reason: `${from} ${version} cannot be fetched: ${why}` };
  }
};

/** By which variable the tests are told where a program is. */
export const variableOf = (name: RealProgram | RealAgent): string =>
  `FLEETLOG_TEST_${name.toUpperCase().replaceAll('-', '_')}`;

/** The program, as `npm run test:providers` found it. */
export const pathOf = (name: RealProgram): string | undefined => readEnvironment()[variableOf(name)];

/** An environment of both programs in a home of their own, with the model at this address: nothing of the machine's user is read or changed. */
export const environmentIn = (home: string, modelUrl: string): Record<string, string> => {
  const codexHome = join(home, 'codex');
  mkdirSync(join(home, 'tmp'), { recursive: true });
  mkdirSync(codexHome, { recursive: true });
  const settings = [
    'model = "scripted"',
    'model_provider = "scripted"',
    'check_for_update_on_startup = false',
    '[model_providers.scripted]',
    'name = "scripted"',
    `base_url = "${modelUrl}/v1"`,
    'env_key = "SCRIPTED_KEY"',
    'wire_api = "responses"',
    'request_max_retries = 1',
    'stream_max_retries = 1',
    '[analytics]',
    'enabled = false',
  ];
  writeFileSync(join(codexHome, 'config.toml'), `${settings.join('\n')}\n`);
  return {
    PATH: searchPath(),
    HOME: home,
    TMPDIR: join(home, 'tmp'),
    LANG: 'C.UTF-8',
    ANTHROPIC_API_KEY: 'scripted',
    ANTHROPIC_BASE_URL: modelUrl,
    ANTHROPIC_MODEL: 'claude-sonnet-4-5',
    CLAUDE_CODE_MAX_RETRIES: '1',
    CODEX_HOME: codexHome,
    SCRIPTED_KEY: 'scripted',
  };
};
