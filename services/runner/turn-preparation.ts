// What a turn is done with: the provider its run asks for, the command of its program, its environment, and the conversation to go on
// with. Starts nothing but a program that is asked for its version.
import { resolve } from 'node:path';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import { PROVIDERS, type ProviderName, type ResumeMismatch } from '#streams/run.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { TurnEquipment } from './control/runner-control.ts';
import { withAnswers } from './approvals/resumed-turn.ts';
import { childEnvironment, TURN_MARK, type Environment } from './providers/child-environment.ts';
import { acpEnvironment, createAcpProvider } from './providers/acp/acp-provider.ts';
import { claudeCommand, createClaudeProvider } from './providers/claude/claude-provider.ts';
import { CLAUDE_NAMES, CLAUDE_SETTINGS } from './providers/claude/claude-surroundings.policy.ts';
import { CODEX_NAMES, codexCommand, createCodexProvider } from './providers/codex/codex-provider.ts';
import { createExecProvider, LINES_VARIABLE, LINES_VERSION } from './providers/exec/exec-provider.ts';
import type { Provider, TurnOrder } from './providers/provider.ts';
import { withResumeRule } from './providers/resume-rule.ts';
import type { ResumePoint } from './providers/turn-facts.ts';
import { createProgramVersions, findProgram } from './programs.ts';
import type { TurnScope } from './report-writer.ts';
import type { RunnerConfig } from './runner-config.ts';
import type { SessionNotes } from './session-notes.ts';
import { WORKSPACE_FACTS, workspaceNotes } from './workspace/workspace-notes.ts';
import type { Workspace } from './workspace/workspaces.ts';

/** Everything a turn is started with. */
export interface PreparedTurn {
  readonly provider: Provider;
  readonly order: TurnOrder;
  /** Undefined: the program was not asked, or did not say. */
  readonly programVersion: string | undefined;
  /** What is done when the program is not in the conversation it was asked to go on with. */
  readonly resumeMismatch: ResumeMismatch;
}

export interface TurnPreparation {
  /** The providers whose programs are on this machine. */
  readonly providers: readonly ProviderName[];
  /** Ends the programs that outlive their turns, once no turn is under way. Never rejects. */
  readonly close: () => Promise<void>;
  /** Faults: `PROVIDER_MISSING`, `PROVIDER_PROGRAM` (never). */
  readonly prepare: (
    instruction: TurnInstruction,
    scope: TurnScope,
    workspace: Workspace,
  ) => Promise<PreparedTurn>;
}

export interface PreparationParts {
  readonly config: RunnerConfig;
  readonly boundary: Boundary;
  /** Names this runner's programs on this machine. */
  readonly runnerMark: string;
  /** The environment of the runner's own process. */
  readonly environment: Environment;
  readonly sessions: SessionNotes;
  /** Called last: from then on the turn's programs may ask the runner. */
  readonly equip: (scope: TurnScope, provider: ProviderName, prompt: string) => TurnEquipment;
  readonly clock: Clock;
}

/** What a provider with a program of its own adds to a turn. */
interface OwnProgram {
  readonly provider: Provider;
  /** Undefined: it is not on this machine. */
  readonly path: string | undefined;
  /** Where it was looked for. */
  readonly wanted: string;
  readonly names: readonly string[];
  readonly settings: Readonly<Record<string, string>>;
  /** Answers `--version`; default: yes. */
  readonly saysVersion?: boolean;
  readonly command: (
    program: string,
    resume: ResumePoint | undefined,
    more: readonly string[],
  ) => readonly string[];
}

type OwnName = Exclude<ProviderName, 'exec'>;

const acpProvider = ({ config, clock }: PreparationParts): ReturnType<typeof createAcpProvider> => {
  const { acpAgent: agent, acpKeep: keep, acpIdleMs: idleMs, acpPermissions: permissions } = config;
  return createAcpProvider(clock, {
    agent,
    keep,
    idleMs,
    permissions,
    mode: config.acpMode,
    steering: config.acpSteering,
  });
};

const acpProgram = ({ config, environment }: PreparationParts, provider: Provider): OwnProgram => {
  const { acpProgram: program, acpArguments, acpAgent } = config;
  return {
    path: program === undefined ? undefined : findProgram(program, environment['PATH']),
    wanted: program ?? 'program in the setting acpProgram',
    provider,
    ...acpEnvironment(acpAgent, [program ?? '', ...acpArguments], environment),
    // It says its version itself, and whoever asks for it by an argument may start something else.
    saysVersion: false,
    command: (path, _resume, more) => [path, ...acpArguments, ...more],
  };
};

const ownPrograms = (parts: PreparationParts, acp: Provider): Record<OwnName, OwnProgram> => {
  const { config, environment, clock } = parts;
  const placed = (name: string, configured: string | undefined): Pick<OwnProgram, 'path' | 'wanted'> => ({
    path: findProgram(configured ?? name, environment['PATH']),
    wanted: configured ?? `${name} on the PATH`,
  });
  return {
    acp: acpProgram(parts, acp),
    claude: {
      ...placed('claude', config.claudeProgram),
      provider: createClaudeProvider(clock, config.claudeSteering),
      names: CLAUDE_NAMES,
      settings: CLAUDE_SETTINGS,
      command: (program, resume, more) =>
        claudeCommand(program, [...more, ...config.claudeArguments], resume),
    },
    codex: {
      ...placed('codex', config.codexProgram),
      provider: createCodexProvider(clock),
      names: CODEX_NAMES,
      settings: {},
      command: (program, resume, more) => codexCommand(program, [...more, ...config.codexArguments], resume),
    },
  };
};

const missing = (name: string, wanted: string): Fault =>
  new Fault({
    code: 'PROVIDER_MISSING',
    retry: 'never',
    message: `this runner has no provider ${name}: there is no ${wanted}`,
  });

const picked = (environment: Environment, names: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    names.flatMap((key) => {
      const value = environment[key];
      return value === undefined ? [] : [[key, value] as const];
    }),
  );

const programRefused = (name: string): Fault =>
  new Fault({
    code: 'PROVIDER_PROGRAM',
    retry: 'never',
    message: `a run of the provider ${name} cannot name a program: the runner's settings say which it is`,
  });

const joinedText = (...parts: readonly string[]): string => parts.filter((part) => part !== '').join('\n\n');

/** Where `./fleetlog` is. */
const COMMANDS = resolve(import.meta.dirname, '../..');

/** An `exec` program says no version and has no conversation. */
const EXEC = { programVersion: undefined, resumeMismatch: 'accept' } as const;

/** What every turn has, whatever its program. */
const orderOf = (
  { config, boundary, runnerMark, environment }: PreparationParts,
  { runId, sessionId, request }: TurnInstruction,
  turnId: string,
  workspace: Workspace,
): Omit<TurnOrder, 'program'> & { readonly environment: Record<string, string> } => {
  const { agent, silenceMs, killAfterMs, lingerMs } = config;
  const { path } = workspace;
  const turn = { runId, turnId, sessionId, workspace: path };
  const facts = { ...boundary, agent, ...turn, runnerId: runnerMark, commands: COMMANDS };
  const usual = childEnvironment(environment, facts, config.passEnvironment);
  return {
    workspace: path,
    prompt: request.prompt,
    environment: { ...usual, ...workspace.environment },
    mark: TURN_MARK,
    limits: { turnTimeoutMs: request.turnTimeoutMs, silenceMs, killAfterMs, lingerMs },
  };
};

/** Looks for the programs at once; what is installed later is seen by the next process. */
export const createTurnPreparation = (parts: PreparationParts): TurnPreparation => {
  const { config, environment, sessions, clock, equip } = parts;
  const exec = createExecProvider(clock);
  const acp = acpProvider(parts);
  const own = ownPrograms(parts, acp);
  const versions = createProgramVersions();
  const prepareOwn = async (
    name: OwnName,
    instruction: TurnInstruction,
    order: ReturnType<typeof orderOf>,
    scope: TurnScope,
  ): Promise<PreparedTurn> => {
    const { provider, path, wanted, names, settings, command, saysVersion = true } = own[name];
    if (path === undefined) throw missing(name, wanted);
    if (instruction.request.program !== undefined) throw programRefused(name);
    const known = { ...picked(environment, names), ...settings, ...order.environment };
    const isNew = instruction.request.conversation === 'new';
    const resume = isNew ? undefined : sessions.read(instruction.sessionId, name);
    const programVersion = saysVersion ? await versions.of(path, known) : undefined;
    const notes = workspaceNotes(order.environment[WORKSPACE_FACTS]);
    const told = sessions.recap(instruction.sessionId, name);
    const recap = { ...told, text: joinedText(notes, told.text) };
    // A conversation that goes on has been told.
    const prompt = resume === undefined ? joinedText(notes, order.prompt) : order.prompt;
    const equipment = equip(scope, name, prompt);
    const program = command(path, resume, equipment.arguments);
    const whole = { ...known, ...equipment.environment };
    const more = resume === undefined ? {} : { resume };
    const resumeMismatch = instruction.request.resumeMismatch ?? config.resumeMismatch;
    const rule = { kind: resumeMismatch, freshProgram: command(path, undefined, equipment.arguments), recap };
    const ruled = withResumeRule(withAnswers(provider, instruction.approvals ?? []), rule, clock);
    const ordered = { ...order, ...equipment.order, prompt, program, environment: whole, ...more };
    return { provider: ruled, order: ordered, programVersion, resumeMismatch };
  };
  return {
    providers: PROVIDERS.filter((name) => name === 'exec' || own[name].path !== undefined),
    close: () => acp.close(),
    prepare: async (instruction, scope, workspace) => {
      const order = orderOf(parts, instruction, scope.turnId, workspace);
      const name = instruction.provider;
      if (name !== 'exec') return prepareOwn(name, instruction, order, scope);
      const program = instruction.request.program ?? config.program;
      const equipment = equip(scope, name, order.prompt);
      const lines = { [LINES_VARIABLE]: String(LINES_VERSION) };
      const whole = { ...order.environment, ...lines, ...equipment.environment };
      return { ...EXEC, provider: exec, order: { ...order, program, environment: whole } };
    },
  };
};
