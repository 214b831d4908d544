// What a host is made of: its buffer and journal, the runners it watches, and how it stands. Built once in a process, from its
// settings and ports; service.ts has its loops.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { createDeadLetters, type DeadLetters } from '#libs/consumers/dead-letters.ts';
import { openOutbox } from '#libs/outbox/open-outbox.ts';
import type { Outbox, ParkedRecord, Sender } from '#libs/outbox/outbox.ts';
import type { Blobs } from '#libs/ports/blobs.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { ServiceContext } from '#libs/service/context.ts';
import { hostUser } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { CONTRACT_VERSION } from '#streams/contract-version.ts';
import { buildDeadLetter } from '#streams/dead-letters.ts';
import type { SpawnInstruction } from '#streams/host-instructions.ts';
import { HOST_REPORTS } from '#streams/host-reports.ts';
import type { HostFacts } from '#streams/host.ts';
import { typedSubject, type Boundary } from '#streams/subjects.ts';
import { openCgroups, type Cgroups } from './cgroups.ts';
import type { HostConfig } from './host-config.ts';
import { createHostReporter, hostGapRecord, type HostReporter } from './host-reporter.ts';
import { launchRunner, type Environment, type Launched } from './launch.ts';
import { PLATFORM, readMachine } from './machine.ts';
import { lastWords, runnerFolder } from './runner-folder.ts';
import { askedSettings, chosenByHost } from './runner-settings.policy.ts';
import { spawnRefusal } from './spawn-rules.policy.ts';
import { Telling } from './telling.ts';
import type { HostStep } from './supervisor-parts.ts';
import { Supervisor } from './supervisor.ts';

/** What a host is given besides its settings and ports. */
export interface HostSurroundings {
  /** The environment of the host's own process. */
  readonly environment: Environment;
  readonly version: string;
  /** Program and arguments of a runner's process. */
  readonly runnerProgram: readonly string[];
  /** What is wrong with settings of a runner; undefined: nothing. */
  readonly settingsProblem: (settings: Readonly<Record<string, unknown>>) => string | undefined;
  /** Kinds of programs that there are on this machine. */
  readonly findProviders: (searchPath: string | undefined) => HostFacts['providers'];
  /** Carries buffered reports to EVENTS. */
  readonly createSender: (parts: {
    readonly log: EventLog;
    readonly blobs: Blobs;
    readonly subjects: readonly string[];
    readonly bufferId: () => string;
  }) => Sender;
  /** Called at each step; tests crash here. */
  readonly reached?: (step: HostStep) => Promise<void> | void;
}

type Context = ServiceContext<HostConfig>;

export interface HostProcess {
  readonly boundary: Boundary;
  readonly bootId: string;
  readonly hostMark: string;
  readonly startedAt: number;
  readonly outbox: Outbox;
  readonly reporter: HostReporter;
  readonly supervisor: Supervisor;
  readonly cgroups: Cgroups;
  readonly deadLetters: DeadLetters;
  readonly facts: HostFacts;
  /** Whether the control plane wants no new runners here; kept over restarts. */
  readonly draining: { is(): boolean; set(isDraining: boolean): Promise<void> };
  readonly telling: Telling;
  /** Rejects when this process can no longer be trusted. */
  readonly failed: Promise<never>;
}

const DRAINING_NOTE = 'draining';

const deadLettersOf = (context: Context): DeadLetters =>
  createDeadLetters({
    log: context.log('DEADLETTERS'),
    // Under a name of its own: a host's user may write no other's letters (streams/accounts.ts).
    build: (parked, id) => buildDeadLetter({ ...parked, service: hostUser(context.config.name) }, id),
  });

const storeLetter =
  (deadLetters: DeadLetters, context: Context) =>
  async ({ record, refusal }: ParkedRecord): Promise<void> => {
    const { sourceSeq: seq, subject, body, enqueuedAt: storedAt } = record;
    await deadLetters.park({
      reason: 'refused-for-good',
      ...refusal,
      stream: 'buffer',
      consumer: hostUser(context.config.name),
      service: context.name,
      parkedAt: context.clock.now(),
      entry: { seq, subject, headers: { ...record.headers, 'Nats-Msg-Id': record.id }, body, storedAt },
    });
  };

const logBuffer = (context: Context): Parameters<typeof openOutbox>[0]['observe'] => {
  const loud = new Set([
    'unreachable',
    'refused',
    'shed',
    'letter-failed',
    'storage-failed',
    'lost',
    'parked',
  ]);
  return ({ kind, ...fields }) =>
    loud.has(kind)
      ? context.logger.warn(`buffer: ${kind}`, fields)
      : context.logger.info(`buffer: ${kind}`, fields);
};

const openBuffer = (
  context: Context,
  { createSender }: HostSurroundings,
  tools: { readonly deadLetters: DeadLetters; readonly onFatal: (error: unknown) => void },
): Outbox => {
  const { config, clock, ids } = context;
  const boundary = { tenant: config.tenant, project: config.project };
  const subjects = [...Object.keys(HOST_REPORTS), 'gap'].map((name) =>
    typedSubject(boundary, 'evt', config.name, name),
  );
  const log = context.log('EVENTS');
  const outbox: Outbox = openOutbox({
    dir: config.dataDir,
    name: `host/${config.tenant}/${config.project}/${config.name}`,
    sender: createSender({ log, blobs: context.blobs, subjects, bufferId: () => outbox.bufferId }),
    clock,
    ids,
    gapRecord: hostGapRecord({ boundary, host: config.name, clock, ids }),
    storeLetter: storeLetter(tools.deadLetters, context),
    observe: logBuffer(context) ?? ((): void => undefined),
    onFatal: tools.onFatal,
  });
  return outbox;
};

/** Names this host's runners on this machine, also after its journal was lost. */
const markOf = ({ dataDir, name }: HostConfig): string =>
  `${name}-${createHash('sha256')
    .update(`${hostname()}\0${resolve(dataDir)}`)
    .digest('hex')
    .slice(0, 16)}`;

const credentialFile = ({ credentialsDir }: HostConfig, agent: string): string =>
  join(credentialsDir, `${runnerUser(agent)}-password`);

const settingsOf = (config: HostConfig, spawn: SpawnInstruction): Readonly<Record<string, unknown>> => ({
  ...askedSettings(spawn),
  agent: spawn.agent,
  tenant: config.tenant,
  project: config.project,
  dataDir: runnerFolder(config.dataDir, spawn.agent).dataDir,
  workspaceRoot: join(config.workspaceRoot, spawn.agent),
  spawnId: spawn.spawnId,
  host: config.name,
});

const launcher =
  (config: HostConfig, { environment, runnerProgram }: HostSurroundings, hostMark: string) =>
  (spawn: SpawnInstruction): Promise<Launched> =>
    launchRunner({
      spawnId: spawn.spawnId,
      hostMark,
      program: runnerProgram,
      folder: runnerFolder(config.dataDir, spawn.agent),
      config: {
        logFormat: 'json',
        nats: { url: config.brokerUrl, user: runnerUser(spawn.agent) },
        runner: settingsOf(config, spawn),
      } as { readonly runner: Readonly<Record<string, unknown>> },
      passwordFile: resolve(credentialFile(config, spawn.agent)),
      environment,
    });

/** What stands against the settings of a spawn; undefined: nothing. */
const problemWith = (
  config: HostConfig,
  { settingsProblem }: HostSurroundings,
  spawn: SpawnInstruction,
): string | undefined => {
  const own = chosenByHost(spawn.settings);
  if (own !== undefined) return `the setting ${own} is the host's to choose`;
  return settingsProblem(settingsOf(config, spawn));
};

const factsOf = (
  config: HostConfig,
  { version, findProviders, environment }: HostSurroundings,
): HostFacts => ({
  labels: [...config.labels],
  capacity: config.capacity,
  providers: [...findProviders(environment['PATH'])],
  version,
  contract: CONTRACT_VERSION,
  platform: PLATFORM,
});

/** Whether the host is being drained: told by the control plane, and kept for a start without it. */
const keptDraining = (outbox: Outbox, reporter: HostReporter): HostProcess['draining'] => {
  let isDraining = outbox.note(DRAINING_NOTE) === true;
  return {
    is: () => isDraining,
    set: async (wanted) => {
      if (wanted === isDraining) return;
      isDraining = wanted;
      await reporter.note([{ key: DRAINING_NOTE, value: wanted }]);
    },
  };
};

/** Opens the buffer and builds the rest. Faults: those of opening a buffer (`OUTBOX_LOCKED` …). */
export const createHostProcess = (context: Context, surroundings: HostSurroundings): HostProcess => {
  const { config, clock, ids, redactor } = context;
  const boundary = { tenant: config.tenant, project: config.project };
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => undefined);
  const deadLetters = deadLettersOf(context);
  const outbox = openBuffer(context, surroundings, { deadLetters, onFatal: failure.reject });
  const reporter = createHostReporter({ boundary, host: config.name, clock, ids, redactor }, outbox);
  const cgroups = openCgroups(config.cgroupRoot, config.runnerMemoryBytes);
  const hostMark = markOf(config);
  const telling = new Telling();
  const draining = keptDraining(outbox, reporter);
  const supervisor: Supervisor = new Supervisor({
    host: config.name,
    brokerUrl: config.brokerUrl.join(','),
    clock,
    redactor,
    reporter,
    cgroups,
    refusalOf: (spawn) =>
      spawnRefusal(spawn, {
        ...readMachine(config.dataDir),
        now: clock.now(),
        isDraining: draining.is(),
        capacity: config.capacity,
        runners: supervisor.size,
        runningAs: supervisor.spawnOf(spawn.agent),
        isReserved: config.reservedAgents.includes(spawn.agent),
        credentialFile: credentialFile(config, spawn.agent),
        hasCredential: existsSync(credentialFile(config, spawn.agent)),
        settingsProblem: problemWith(config, surroundings, spawn),
        memoryFloorBytes: config.memoryFloorBytes,
        diskFloorBytes: config.diskFloorBytes,
      }),
    launch: launcher(config, surroundings, hostMark),
    lastWordsOf: (agent) => lastWords(runnerFolder(config.dataDir, agent)),
    lookMs: config.lookMs,
    onChange: () => telling.ring(),
    // It may have been undrained since its last word.
    beforeSpawn: async () => (draining.is() ? telling.ask() : undefined),
    onFatal: failure.reject,
    reached: surroundings.reached ?? ((): void => undefined),
  });
  return {
    boundary,
    bootId: ids.ulid(),
    hostMark,
    startedAt: clock.now(),
    outbox,
    reporter,
    supervisor,
    cgroups,
    deadLetters,
    telling,
    facts: factsOf(config, surroundings),
    draining,
    failed: failure.promise,
  };
};
