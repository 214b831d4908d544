// One example of every event, report, instruction, request and value that tells of hosts, for the generated pages and the golden
// entries. Typed by the contract. Not used at run time.
import { EXAMPLE, EXAMPLE_AT } from './generate-examples.ts';
import type { ShutdownInstruction, SpawnInstruction } from './host-instructions.ts';
import type { HostReportData, HostReportName } from './host-reports.ts';
import type { HostOperation, HostRequestOf, HostResultOf } from './host-requests.ts';
import type { HostPresence, HostView } from './host-views.ts';
import type { HostEvent, HostEventType, HostFacts } from './host.ts';

const { boundary, agent, commandId } = EXAMPLE;
const AT = EXAMPLE_AT;
const SECOND = 1000;
const GIB = 1024 ** 3;

/** The host of the examples. */
export const EXAMPLE_HOST = 'forge-7';
const host = EXAMPLE_HOST;
const journalId = '01KAJ5J000H1J2K3M4N5P6Q7R8';
const bootId = '01KAJ5K3C0B1C2D3E4F5G6H7J8';
const spawn = { spawnId: 'spw_01KAJ5M8D0S4P6A8W0N2E4G6J8', policy: 'builders', agent, host };
const asked = { requestedBy: 'service:lifecycle', requestedAt: AT, deadlineAt: AT + 60 * SECOND };

const facts: HostFacts = {
  labels: ['gpu'],
  capacity: 50,
  providers: ['exec', 'claude'],
  version: '0.1.0',
  contract: 2,
  platform: 'linux-x64',
};

/** Every event of a host. */
export const HOST_EXAMPLES: { readonly [Type in HostEventType]: Extract<HostEvent, { type: Type }> } = {
  'fleetlog.host.registered.v1': {
    type: 'fleetlog.host.registered.v1',
    host,
    journalId,
    ...facts,
    registeredAt: AT,
  },
  'fleetlog.host.online.v1': {
    type: 'fleetlog.host.online.v1',
    host,
    bootId,
    version: '0.1.0',
    onlineAt: AT,
  },
  'fleetlog.host.offline.v1': {
    type: 'fleetlog.host.offline.v1',
    host,
    bootId,
    reason: 'not heard of for 15 s',
    offlineAt: AT + 900 * SECOND,
  },
  'fleetlog.host.drain-requested.v1': {
    type: 'fleetlog.host.drain-requested.v1',
    host,
    reason: 'new memory',
    requestedAt: AT + 60 * SECOND,
  },
  'fleetlog.host.drain-ended.v1': {
    type: 'fleetlog.host.drain-ended.v1',
    host,
    endedAt: AT + 600 * SECOND,
  },
  'fleetlog.host.update-requested.v1': {
    type: 'fleetlog.host.update-requested.v1',
    host,
    version: '0.2.0',
    reason: 'new release',
    requestedAt: AT + 700 * SECOND,
  },
  'fleetlog.host.retired.v1': {
    type: 'fleetlog.host.retired.v1',
    host,
    reason: 'sold',
    retiredAt: AT + 1000 * SECOND,
  },
};

/** Every instruction to a host. */
export const HOST_INSTRUCTION_EXAMPLES: {
  readonly 'agent-spawn': SpawnInstruction;
  readonly 'agent-shutdown': ShutdownInstruction;
} = {
  'agent-spawn': {
    commandId,
    ...spawn,
    provider: 'claude',
    workspace: 'cart',
    prompt: 'Look after the cart.',
    permissionMode: 'acceptEdits',
    programArguments: ['--model', 'sonnet'],
    labels: ['gpu'],
    tags: ['team-cart'],
    capabilities: ['review'],
    settings: { concurrency: 2 },
    reason: 'always-on',
    ...asked,
  },
  'agent-shutdown': {
    commandId,
    ...spawn,
    graceful: true,
    timeoutMs: 10_000,
    reason: 'policy paused',
    ...asked,
  },
};

/** Every report of a host. */
export const HOST_REPORT_EXAMPLES: { readonly [Name in HostReportName]: HostReportData<Name> } = {
  'spawn-started': { ...spawn, pid: 4711, startedAt: AT + SECOND },
  'spawn-refused': {
    ...spawn,
    code: 'CREDENTIAL_MISSING',
    message: 'no password for agent builder-1 in /etc/fleetlog/agents: fleetlog agent add builder-1',
    refusedAt: AT + SECOND,
  },
  'agent-exited': {
    ...spawn,
    pid: 4711,
    exitCode: 0,
    signal: null,
    wasAsked: true,
    wasForced: false,
    lastWords: '',
    startedAt: AT + SECOND,
    exitedAt: AT + 90 * SECOND,
  },
  'unknown-agent-stopped': {
    host,
    pid: 4712,
    spawnId: 'spw_01KAJ5M8D0S4P6A8W0N2E4G6J9',
    agent,
    reason: 'its spawn id is not in the journal of this host',
    stoppedAt: AT + 2 * SECOND,
  },
};

const word = {
  bootId,
  journalId,
  ...facts,
  freeMemoryBytes: 48 * GIB,
  totalMemoryBytes: 64 * GIB,
  freeDiskBytes: 300 * GIB,
  hasCgroups: true,
  buffered: 0,
  runners: [
    {
      spawnId: spawn.spawnId,
      policy: spawn.policy,
      agent,
      pid: 4711,
      state: 'running' as const,
      startedAt: AT + SECOND,
    },
  ],
  startedAt: AT - 60 * SECOND,
};
const place = { host, seq: 31 };

/** Requests of the hosts service and what they give. */
export const HOST_REQUEST_EXAMPLES: {
  readonly [Op in HostOperation]: {
    readonly request: HostRequestOf<Op>;
    readonly result: HostResultOf<Op>;
  };
} = {
  announce: {
    request: { ...word, ttlMs: 15_000 },
    result: { ttlMs: 15_000, isDraining: false, version: '0.1.0', contract: 2 },
  },
  drain: {
    request: { host, reason: 'new memory', actor: 'user:anna' },
    result: { ...place, state: 'draining', repeated: false },
  },
  undrain: { request: { host, actor: 'user:anna' }, result: { ...place, state: 'online', repeated: false } },
  update: {
    request: { host, version: '0.2.0', reason: 'new release', actor: 'user:anna' },
    result: { ...place, state: 'online', repeated: false },
  },
  retire: {
    request: { host, reason: 'sold', actor: 'user:anna' },
    result: { ...place, state: 'retired', repeated: false },
  },
};

/** The presence of the host. */
export const HOST_PRESENCE_EXAMPLE: HostPresence = { host, ...word, seenAt: AT + 10 * SECOND };

/** The summary of the host. */
export const HOST_VIEW_EXAMPLE: HostView = {
  seq: 31,
  ...boundary,
  host,
  state: 'draining',
  ...facts,
  journalId,
  bootId,
  isDraining: true,
  reason: 'new memory',
  onlineAt: AT,
  offlineAt: null,
  updateRequestedAt: null,
  registeredAt: AT,
  updatedAt: AT + 60 * SECOND,
};
