// The settings of real agents of the Agent Client Protocol in a home of their own, with a scripted model: nothing of the machine's user is read or
// changed. What a runner is told of them, and what its environment needs.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { searchPath, type RealAgent } from './real-programs.ts';

export interface AgentHome {
  readonly environment: Readonly<Record<string, string>>;
  readonly config: Readonly<Record<string, unknown>>;
}

type Furnish = (home: string, modelUrl: string) => AgentHome;

const write = (folder: string, name: string, content: string): void => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), content);
};

const claude: Furnish = (_home, modelUrl) => ({
  environment: {
    ANTHROPIC_API_KEY: 'scripted',
    ANTHROPIC_BASE_URL: modelUrl,
    ANTHROPIC_MODEL: 'claude-sonnet-4-5',
    CLAUDE_CODE_MAX_RETRIES: '1',
  },
  config: {},
});

const codex: Furnish = (home, modelUrl) => {
  const folder = join(home, 'codex');
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
  write(folder, 'config.toml', `${settings.join('\n')}\n`);
  return {
    environment: { CODEX_HOME: folder, SCRIPTED_KEY: 'scripted' },
    config: { passEnvironment: ['SCRIPTED_KEY'] },
  };
};

const gemini: Furnish = (_home, modelUrl) => ({
  environment: {
    GEMINI_API_KEY: 'scripted',
    GOOGLE_GEMINI_BASE_URL: modelUrl,
    GEMINI_MODEL: 'gemini-2.5-pro',
  },
  config: { acpArguments: ['--acp'] },
});

const opencode: Furnish = (home, modelUrl) => {
  const settings = {
    autoupdate: false,
    share: 'disabled',
    model: 'scripted/m',
    small_model: 'scripted/m',
    permission: { bash: 'ask', edit: 'ask' },
    provider: {
      scripted: {
        npm: '@ai-sdk/anthropic',
        name: 'scripted',
        options: { baseURL: `${modelUrl}/v1`, apiKey: 'scripted' },
        models: { m: { name: 'm' } },
      },
    },
  };
  write(join(home, '.config/opencode'), 'opencode.json', JSON.stringify(settings));
  return {
    environment: { OPENCODE_DISABLE_MODELS_FETCH: '1', OPENCODE_DISABLE_LSP_DOWNLOAD: '1' },
    config: {
      acpArguments: ['acp'],
      passEnvironment: ['OPENCODE_DISABLE_MODELS_FETCH', 'OPENCODE_DISABLE_LSP_DOWNLOAD'],
    },
  };
};

const FURNISH: { readonly [Agent in RealAgent]: Furnish } = {
  'claude-agent-acp': claude,
  'codex-acp': codex,
  gemini,
  opencode,
};

/** Settings of a runner with this agent; `path`: its program, which may be a script of Node. */
export const agentHome = (agent: RealAgent, path: string, home: string, modelUrl: string): AgentHome => {
  const { environment, config } = FURNISH[agent](home, modelUrl);
  mkdirSync(join(home, 'tmp'), { recursive: true });
  const given = (config['acpArguments'] ?? []) as readonly string[];
  const isScript = path.endsWith('.js');
  return {
    environment: {
      PATH: searchPath(),
      HOME: home,
      TMPDIR: join(home, 'tmp'),
      LANG: 'C.UTF-8',
      ...environment,
    },
    config: {
      ...config,
      acpProgram: isScript ? process.execPath : path,
      acpArguments: isScript ? [path, ...given] : given,
    },
  };
};
