// A host in this process or in one of its own, on a test's broker, and what tests ask of it. Its runners are real processes that only
// live (idle-runner.mjs), unless a test names another program.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ports } from '#libs/service/context.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { createHostService } from '#services/host/service.ts';
import type { HostSurroundings } from '#services/host/host-process.ts';
import { hostSurroundings } from '#services/host-surroundings.ts';
import type { ShutdownInstruction, SpawnInstruction } from '#streams/host-instructions.ts';
import { HOST_REPORTS, type HostReportData, type HostReportName } from '#streams/host-reports.ts';
import { makeId } from '#streams/ids.ts';
import { encodeInstruction, type InstructionData } from '#streams/instruction-codec.ts';
import { decodeReport, type Report } from '#streams/report-codec.ts';
import { typedFilter } from '#streams/subjects.ts';
import { scratchDir, type TestBroker } from './broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from './control-plane.ts';

export const HOST = 'forge';
const IDLE = [process.execPath, new URL('idle-runner.mjs', import.meta.url).pathname];

export interface HostFolders {
  readonly dataDir: string;
  readonly workspaceRoot: string;
  readonly credentialsDir: string;
}

/** Folders of a host, with a password for each of these agents. */
export const hostFolders = (agents: readonly string[]): HostFolders => {
  const root = scratchDir('host');
  const credentialsDir = join(root, 'secrets');
  mkdirSync(credentialsDir, { recursive: true });
  for (const agent of agents) writeFileSync(join(credentialsDir, `runner-${agent}-password`), 'secret\n');
  return { dataDir: join(root, 'data'), workspaceRoot: join(root, 'workspaces'), credentialsDir };
};

/** Everything durable, with hosts; what a dead host had in hand comes again after `ackWaitMs`, with `isAll` what a dead service had as well. */
export const provisionHosts = (
  broker: TestBroker,
  hosts: readonly string[] = [HOST],
  { ackWaitMs = 2000, isAll = false, agents = [] as readonly string[] } = {},
): Promise<void> =>
  provision(broker, agents, hosts, (stream) => (isAll || stream === 'COMMANDS' ? ackWaitMs : undefined));

export interface HostRigOptions extends Partial<HostSurroundings> {
  readonly broker: TestBroker;
  readonly folders: HostFolders;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly inboxPrefix?: string;
}

/** Starts the host {@link HOST} on a connection of its own. */
export const startHost = ({
  broker,
  folders,
  config = {},
  inboxPrefix,
  ...surroundings
}: HostRigOptions): Promise<ControlPlane> => {
  const service = createHostService({ ...hostSurroundings(), runnerProgram: IDLE, ...surroundings });
  const settings = {
    name: HOST,
    ...BOUNDARY,
    ...folders,
    brokerUrl: [broker.url],
    announceMs: 1000,
    lookMs: 50,
  };
  return startControlPlane({
    broker,
    services: [service],
    config: { host: { ...settings, ...config } },
    ...(inboxPrefix !== undefined && { inboxPrefix }),
  });
};

type Logs = Pick<Ports, 'log'>;

const instruct = async <Name extends 'agent-spawn' | 'agent-shutdown'>(
  ports: Logs,
  name: Name,
  data: InstructionData<Name> & { readonly host: string; readonly commandId: string },
): Promise<void> => {
  const entry = encodeInstruction(name, data, {
    boundary: BOUNDARY,
    target: data.host,
    id: data.commandId,
    source: '/service/lifecycle',
    actor: 'service:lifecycle',
    timeMs: systemClock.now(),
  });
  await ports.log('COMMANDS').append(entry);
};

const newSpawnId = (): string => makeId('spawn', systemIds.ulid());

/** Tells the host to start an agent; gives what it was told. */
export const spawnAgent = async (
  ports: Logs,
  agent: string,
  more: Partial<SpawnInstruction> = {},
): Promise<SpawnInstruction> => {
  const now = systemClock.now();
  const spawn: SpawnInstruction = {
    commandId: makeId('command', systemIds.ulid()),
    spawnId: newSpawnId(),
    policy: `policy-${agent}`.slice(0, 64),
    agent,
    host: HOST,
    provider: 'exec',
    programArguments: [],
    labels: [],
    tags: [],
    capabilities: [],
    settings: {},
    reason: 'always-on',
    requestedBy: 'service:lifecycle',
    requestedAt: now,
    deadlineAt: now + 60_000,
    ...more,
  };
  await instruct(ports, 'agent-spawn', spawn);
  return spawn;
};

/** Tells the host to stop what was started by `spawn`. */
export const shutDown = async (
  ports: Logs,
  { spawnId, policy, agent, host }: SpawnInstruction,
  more: Partial<ShutdownInstruction> = {},
): Promise<void> => {
  const now = systemClock.now();
  await instruct(ports, 'agent-shutdown', {
    commandId: makeId('command', systemIds.ulid()),
    spawnId,
    policy,
    agent,
    host,
    graceful: true,
    timeoutMs: 5000,
    reason: 'test',
    requestedBy: 'service:lifecycle',
    requestedAt: now,
    deadlineAt: now + 60_000,
    ...more,
  });
};

export type HostReport = Extract<Report, { readonly name: HostReportName }>;

const isOfHost = (report: Report): report is HostReport => report.name in HOST_REPORTS;

/** Every report of a host so far, in order, with the numbers of all its entries. */
export const hostReports = async (
  ports: Logs,
  host = HOST,
): Promise<{ readonly reports: readonly HostReport[]; readonly numbers: readonly number[] }> => {
  const reports: HostReport[] = [];
  const numbers: number[] = [];
  for await (const entry of ports
    .log('EVENTS')
    .replay({ subjects: [typedFilter('evt', { ...BOUNDARY, id: host })] })) {
    const reading = decodeReport(entry);
    if (reading.kind !== 'known') throw new Error(JSON.stringify(reading));
    numbers.push(reading.envelope.sourceSeq ?? 0);
    if (isOfHost(reading)) reports.push(reading);
  }
  return { reports, numbers };
};

/** Resolves with the first report of that name about the spawn. */
export const hostReported = async <Name extends HostReportName>(
  ports: Logs,
  name: Name,
  spawnId: string,
): Promise<HostReportData<Name>> => {
  const found = new AbortController();
  const subjects = [typedFilter('evt', { ...BOUNDARY, type: name })];
  for await (const entry of ports.log('EVENTS').replay({ subjects, follow: true, signal: found.signal })) {
    const reading = decodeReport(entry);
    if (reading.kind !== 'known' || reading.name !== name || !isOfHost(reading)) continue;
    if (reading.data.spawnId !== spawnId) continue;
    found.abort();
    return reading.data as unknown as HostReportData<Name>;
  }
  throw new Error('the replay ended');
};
