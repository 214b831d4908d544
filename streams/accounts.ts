// Who may do what at the broker, as data: the control plane and the runners live in accounts of their own, and a runner's user
// is allowed the least that its work needs; one more user watches and can do nothing. Pure; libs/broker renders it, for containers into a file that
// streams/nats.conf includes, which says the rest the same.
//
// Why two accounts: in one, a client may ask for its acknowledgement at a subject of somebody else, and the broker itself would
// write there. Across a service import every answer goes back to the asking account only.
import {
  hostConsumerName,
  mailboxConsumerName,
  obligationsConsumerName,
  runnerConsumerName,
  type DeploymentShape,
} from './consumers.ts';
import { HOST_OPERATIONS } from './host-requests.ts';
import { AGENT_MAIL_REQUESTS } from './mail-requests.ts';
import { OBLIGATIONS_STREAM, obligationsSubject } from './mail-views.ts';
import { RUNNER_CONNECTIONS } from './broker-events.ts';
import { RUNNER_OPERATIONS } from './run-requests.ts';
import { runnerUser } from './runner-user.ts';
import {
  agentRequestFilter,
  agentRequestSubject,
  typedFilter,
  type AgentPlace,
  type Boundary,
} from './subjects.ts';

interface SubjectRules {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

/** A user as libs/broker/broker-config.ts takes it. */
interface FleetUser {
  readonly user: string;
  readonly password: string;
  /** Absent: everything in its account. */
  readonly permissions?: { readonly publish: SubjectRules; readonly subscribe: SubjectRules };
}

/** An account as libs/broker/broker-config.ts takes it. */
export interface FleetAccount {
  readonly name: string;
  readonly jetstream?: boolean;
  readonly isSystem?: boolean;
  readonly users: readonly FleetUser[];
  readonly exports?: readonly {
    readonly kind: 'service' | 'stream';
    readonly subject: string;
    readonly accounts: readonly string[];
    readonly responseType?: 'stream';
  }[];
  readonly imports?: readonly {
    readonly kind: 'service' | 'stream';
    readonly account: string;
    readonly subject: string;
    /** Its name on this side; absent: the same. */
    readonly to?: string;
  }[];
}

/** Passwords, plain or bcrypt. */
export interface FleetSecrets {
  /** User `system` of the broker's own account. */
  readonly systemPassword: string;
  /** User `control` of the control plane. */
  readonly controlPassword: string;
  /** User `viewer`, for tools that only watch. */
  readonly viewerPassword: string;
  /** By agent. */
  readonly runnerPasswords: Readonly<Record<string, string>>;
  /** By host. */
  readonly hostPasswords?: Readonly<Record<string, string>>;
}

const FLEET_ACCOUNT = 'FLEET';
export const RUNNERS_ACCOUNT = 'RUNNERS';
const SYSTEM_ACCOUNT = 'SYS';
export const CONTROL_USER = 'control';
/** The user of tools that watch and change nothing. */
export const VIEWER_USER = 'viewer';
export const SYSTEM_USER = 'system';

/** The inbox prefix that a runner's connection must use: it may subscribe to nothing else. */
export const runnerInboxPrefix = (agent: string): string => `_INBOX_${agent}`;

/** The broker user of a host. */
export const hostUser = (host: string): string => `host-${host}`;
/** The inbox prefix of a host; not of the form of any agent's. */
export const hostInboxPrefix = (host: string): string => `_INBOX-HOST_${host}`;

/** Object store of large bodies: a runner may look whether a body is there, and put it. It may not read bodies back, as the client's own object store would (it reads by sequence, which reads everything). */
const BODY_SUBJECTS = [
  '$JS.API.DIRECT.GET.OBJ_bodies.$O.bodies.M.*',
  '$O.bodies.C.*',
  '$O.bodies.M.*',
] as const;

/** What runners ask, by service. */
const RUNNER_REQUESTS = [
  ...RUNNER_OPERATIONS.map((operation) => ['runs', operation] as const),
  ...Object.keys(AGENT_MAIL_REQUESTS).map((operation) => ['mail', operation] as const),
];

/** The streams that a runner has a consumer on: instructions, messages, what its agent owes. */
const RUNNER_STREAMS = ['COMMANDS', 'MESSAGES', OBLIGATIONS_STREAM] as const;

/**
 * What a runner may publish: its reports and dead letters, pulls and acknowledgements of its own consumers, requests in its agent's name, large bodies.
 * It cannot look at its consumer: the broker answers INFO by the asking account, which has no JetStream (measured on 2.15.1).
 */
const runnerPublishes = (boundary: Boundary, agent: string): readonly string[] => {
  const reports = typedFilter('evt', { ...boundary, id: agent });
  const consumers = {
    COMMANDS: runnerConsumerName(boundary, agent),
    MESSAGES: mailboxConsumerName(boundary, agent),
    [OBLIGATIONS_STREAM]: obligationsConsumerName(boundary, agent),
  };
  return [
    reports,
    // Its own last reports: after an outage it asks for the last number that the log has of it.
    `$JS.API.DIRECT.GET.EVENTS.${reports}`,
    // What it could not process, or could not get accepted, under a name of its own.
    typedFilter('dead', { ...boundary, id: runnerUser(agent) }),
    ...RUNNER_STREAMS.flatMap((stream) => [
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumers[stream]}`,
      `$JS.ACK.${stream}.${consumers[stream]}.>`,
    ]),
    // What its agent owes, looked up once in a while in case a change was not told.
    `$JS.API.DIRECT.GET.${OBLIGATIONS_STREAM}.${obligationsSubject(boundary, agent)}`,
    ...RUNNER_REQUESTS.map(([service, operation]) =>
      agentRequestSubject({ ...boundary, agent }, service, operation),
    ),
    ...BODY_SUBJECTS,
  ];
};

/** What a host may publish: its reports and dead letters, pulls and acknowledgements of its own instructions, its announcements. */
const hostPublishes = (boundary: Boundary, host: string): readonly string[] => {
  const reports = typedFilter('evt', { ...boundary, id: host });
  const consumer = hostConsumerName(boundary, host);
  return [
    reports,
    `$JS.API.DIRECT.GET.EVENTS.${reports}`,
    typedFilter('dead', { ...boundary, id: hostUser(host) }),
    `$JS.API.CONSUMER.MSG.NEXT.COMMANDS.${consumer}`,
    `$JS.ACK.COMMANDS.${consumer}.>`,
    ...HOST_OPERATIONS.map((operation) =>
      agentRequestSubject({ ...boundary, agent: host }, 'hosts', operation),
    ),
  ];
};

/** The connections of runners, as the broker tells of them in its own account. */
const connections = Object.values(RUNNER_CONNECTIONS);
const connectionSubject = (toldAs: string): string => `$SYS.ACCOUNT.${RUNNERS_ACCOUNT}.${toldAs}`;

/** What the control plane offers to the runners' account, and how many answers a request gets. */
const SERVICES: readonly { readonly subject: string; readonly responseType?: 'stream' }[] = [
  { subject: typedFilter('evt') },
  { subject: `$JS.API.DIRECT.GET.EVENTS.${typedFilter('evt')}` },
  { subject: typedFilter('dead') },
  ...RUNNER_STREAMS.flatMap((stream) => [
    { subject: `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`, responseType: 'stream' as const },
    { subject: `$JS.ACK.${stream}.>` },
  ]),
  { subject: `$JS.API.DIRECT.GET.${OBLIGATIONS_STREAM}.$KV.obligations.*.*.*` },
  ...RUNNER_REQUESTS.map(([service, operation]) => ({ subject: agentRequestFilter(service, operation) })),
  ...HOST_OPERATIONS.map((operation) => ({ subject: agentRequestFilter('hosts', operation) })),
  ...BODY_SUBJECTS.map((subject) => ({ subject })),
];

/**
 * A viewer sees every entry and every change of a bucket as it happens, and may publish nothing at all: who may ask for one stored entry
 * can name a stream's subject for the answer, and the broker would store it there. In the control plane's own account, because what
 * runners report through their service import does not reach a stream export of it (measured on 2.15.1).
 */
const viewerUserOf = (password: string): FleetUser => ({
  user: VIEWER_USER,
  password,
  permissions: { publish: { deny: ['>'] }, subscribe: { allow: ['fleet.>', '$KV.>'] } },
});

const runnerUserOf = ({ agent, ...boundary }: AgentPlace, secrets: FleetSecrets): FleetUser => {
  const password = secrets.runnerPasswords[agent];
  if (password === undefined) throw new RangeError(`no password for the runner of agent ${agent}`);
  return {
    user: runnerUser(agent),
    password,
    permissions: {
      publish: { allow: runnerPublishes(boundary, agent) },
      subscribe: { allow: [`${runnerInboxPrefix(agent)}.>`] },
    },
  };
};

const hostUserOf = (
  { host, ...boundary }: Boundary & { readonly host: string },
  secrets: FleetSecrets,
): FleetUser => {
  const password = secrets.hostPasswords?.[host];
  if (password === undefined) throw new RangeError(`no password for host ${host}`);
  return {
    user: hostUser(host),
    password,
    permissions: {
      publish: { allow: hostPublishes(boundary, host) },
      subscribe: { allow: [`${hostInboxPrefix(host)}.>`] },
    },
  };
};

/**
 * The accounts of a deployment. Throws `RangeError` when an agent or host has no password, or when two of them have one name (of any
 * project): the name is the broker user and a part of its subjects, so it is one's alone.
 */
export const accountsOf = (
  shape: Pick<DeploymentShape, 'agents' | 'hosts'>,
  secrets: FleetSecrets,
): readonly FleetAccount[] => {
  const hosts = shape.hosts ?? [];
  const names = [...shape.agents.map(({ agent }) => agent), ...hosts.map(({ host }) => host)];
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new RangeError(`two agents or hosts are called ${twice}; each needs a name of its own`);
  return [
    {
      name: FLEET_ACCOUNT,
      jetstream: true,
      users: [
        { user: CONTROL_USER, password: secrets.controlPassword },
        viewerUserOf(secrets.viewerPassword),
      ],
      exports: SERVICES.map((service) => ({ kind: 'service', accounts: [RUNNERS_ACCOUNT], ...service })),
      imports: connections.map(({ toldAs, heardAt }) => ({
        kind: 'stream',
        account: SYSTEM_ACCOUNT,
        subject: connectionSubject(toldAs),
        to: heardAt,
      })),
    },
    {
      name: RUNNERS_ACCOUNT,
      users: [
        ...shape.agents.map((agent) => runnerUserOf(agent, secrets)),
        ...hosts.map((host) => hostUserOf(host, secrets)),
      ],
      imports: SERVICES.map(({ subject }) => ({ kind: 'service', account: FLEET_ACCOUNT, subject })),
    },
    {
      name: SYSTEM_ACCOUNT,
      isSystem: true,
      users: [{ user: SYSTEM_USER, password: secrets.systemPassword }],
      exports: connections.map(({ toldAs }) => ({
        kind: 'stream',
        subject: connectionSubject(toldAs),
        accounts: [FLEET_ACCOUNT],
      })),
    },
  ];
};
