// What a spawn means for the settings of the runner that it starts (section `runner` of its configuration). Pure.
import type { SpawnInstruction } from '#streams/host-instructions.ts';

type Settings = Readonly<Record<string, unknown>>;

/** Settings that are the host's own to choose: they say who the runner is and where it keeps things. */
const OF_THE_HOST: ReadonlySet<string> = new Set([
  'agent',
  'tenant',
  'project',
  'dataDir',
  'workspaceRoot',
  'spawnId',
  'host',
]);

/** What the provider's program is told: which mode of permissions, and further arguments. */
const PROGRAM: {
  readonly [Provider in SpawnInstruction['provider']]: (spawn: SpawnInstruction) => Settings;
} = {
  claude: ({ permissionMode, programArguments }) =>
    permissionMode === undefined && programArguments.length === 0
      ? {}
      : { claudeArguments: ['--permission-mode', permissionMode ?? 'acceptEdits', ...programArguments] },
  codex: ({ permissionMode, programArguments }) =>
    permissionMode === undefined && programArguments.length === 0
      ? {}
      : { codexArguments: ['-s', permissionMode ?? 'workspace-write', ...programArguments] },
  acp: ({ permissionMode, programArguments }) => ({
    ...(permissionMode !== undefined && { acpPermissions: permissionMode }),
    ...(programArguments.length > 0 && { acpArguments: programArguments }),
  }),
  // Program and arguments in one.
  exec: ({ programArguments }) => (programArguments.length > 0 ? { program: programArguments } : {}),
};

/** The settings that an instruction asks for; what it names itself wins over what follows from its provider. */
export const askedSettings = (spawn: SpawnInstruction): Settings => ({
  mailProvider: spawn.provider,
  ...(spawn.workspace !== undefined && { mailWorkspace: spawn.workspace }),
  ...(spawn.labels.length > 0 && { labels: spawn.labels }),
  ...PROGRAM[spawn.provider](spawn),
  ...spawn.settings,
});

/** The first setting that an instruction may not choose; undefined: none. */
export const chosenByHost = (settings: Settings): string | undefined =>
  Object.keys(settings).find((name) => OF_THE_HOST.has(name));
