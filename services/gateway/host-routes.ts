// Hosts, versions and new agents over HTTP: reads from the summaries and presences in memory, asks the owner for the rest.
import { CONTRACT_VERSION, contractOf } from '#streams/contract-version.ts';
import { HOST_API, type Versioned } from '#streams/http/hosts.ts';
import type { HostView } from '#streams/host-views.ts';
import type { HostRequestOf } from '#streams/host-requests.ts';
import { boundaryQuery } from '#streams/http/route.ts';
import type { IDENTITY_REQUESTS } from '#streams/identity-requests.ts';
import type { RequestOf } from '#streams/requests.ts';
import { Fault, toFault } from '#libs/kernel/fault.ts';
import {
  actorOf,
  foreignBoundary,
  refuse,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { parseInput, readBody } from './input.ts';

type Handle = (request: GatewayRequest) => Promise<Response | Refused> | Response | Refused;

const hostsOf = ({ views, boundary }: GatewayParts): readonly HostView[] =>
  [...views.hosts.list()]
    .map(([, { state, seq }]): HostView => ({ ...state, seq }))
    .filter(({ tenant, project }) => tenant === boundary.tenant && project === boundary.project)
    .toSorted((a, b) => (a.host < b.host ? -1 : 1));

const shown = ({ presences }: GatewayParts, host: HostView) => ({
  ...host,
  presence: presences.of(host.host) ?? null,
});

const unknown = (name: string): Refused => refuse('HOST_UNKNOWN', `no host is called ${name}`);

/** Runs `answer` unless the request names another tenant or project. */
const reading =
  (parts: GatewayParts, answer: Handle): Handle =>
  (request) =>
    foreignBoundary(parts, parseInput(boundaryQuery, request.req.query(), 'query')) ?? answer(request);

const getHost =
  (parts: GatewayParts): Handle =>
  (request) => {
    const name = request.req.param('id') ?? '';
    const host = hostsOf(parts).find((one) => one.host === name);
    return host === undefined ? unknown(name) : request.json(shown(parts, host));
  };

type Move = 'drain' | 'undrain' | 'update' | 'retire';
const DECLARED = {
  drain: HOST_API.drainHost,
  undrain: HOST_API.undrainHost,
  update: HOST_API.updateHost,
  retire: HOST_API.retireHost,
} as const;

const move =
  <Op extends Move>(parts: GatewayParts, operation: Op): Handle =>
  async (request) => {
    const input = await readBody(request.req.raw, DECLARED[operation].body, parts.config.maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const { tenant: _tenant, project: _project, ...asked } = input;
    const version =
      operation === 'update' ? { version: 'version' in asked ? (asked.version ?? null) : null } : {};
    const answer = await parts.hostsClient.ask(operation, {
      ...asked,
      ...version,
      host: request.req.param('id') ?? '',
      actor: actorOf(request),
    } as unknown as HostRequestOf<Op>);
    return answer.kind === 'refused' ? { refused: answer.rejection } : request.json(answer.result, 202);
  };

const numbers = (version: string): readonly number[] => version.split(/[.-]/).map(Number);

/** How a version stands to that of the control plane. */
const skewOf = (
  { version, contract }: { readonly version: string; readonly contract?: number | undefined },
  own: string,
): Versioned['skew'] => {
  if (contract === undefined) return 'unknown';
  if (contract !== CONTRACT_VERSION) return contract < CONTRACT_VERSION ? 'older' : 'newer';
  if (version === own) return 'same';
  const [theirs, ours] = [numbers(version), numbers(own)];
  const at = ours.findIndex((number, index) => number !== theirs[index]);
  return (theirs[at] ?? 0) < (ours[at] ?? 0) ? 'older' : 'newer';
};

const listVersions =
  (parts: GatewayParts): Handle =>
  (request) => {
    const own = parts.version;
    const hosts = hostsOf(parts).filter(({ state }) => state !== 'retired');
    const prefix = `${parts.boundary.tenant}.${parts.boundary.project}.`;
    const runners = parts.views.runners.list().filter(([key]) => key.startsWith(prefix));
    return request.json({
      control: { version: own, contract: CONTRACT_VERSION },
      hosts: hosts.map((host) => ({
        name: host.host,
        version: host.version,
        contract: host.contract,
        skew: skewOf(host, own),
      })),
      runners: runners.map(([, runner]) => ({
        name: runner.agent,
        version: runner.version,
        contract: contractOf(runner),
        skew: skewOf(runner, own),
        host: runner.host ?? null,
      })),
    });
  };

const unserved = (cause: unknown): Fault =>
  new Fault({
    code: 'IDENTITY_AWAY',
    retry: 'later',
    message:
      'nobody here can make users of the broker just now: the service identity does, which npm start and docker compose run; elsewhere see services/identity/README.md',
    cause,
  });

/** What the keeper of the secrets says; 503 where there is none. */
const askIdentity = async <Op extends 'add-agent' | 'add-agents'>(
  { identityClient }: GatewayParts,
  operation: Op,
  asked: RequestOf<typeof IDENTITY_REQUESTS, Op>,
) => {
  try {
    return await identityClient.ask(operation, asked);
  } catch (error) {
    throw toFault(error).code === 'REQUEST_UNANSWERED' ? unserved(error) : error;
  }
};

const addAgent =
  (parts: GatewayParts): Handle =>
  async (request) => {
    const input = await readBody(request.req.raw, HOST_API.addAgent.body, parts.config.maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const asked = { agent: input.agent, actor: actorOf(request) };
    const answer = await askIdentity(parts, 'add-agent', asked);
    return answer.kind === 'refused' ? { refused: answer.rejection } : request.json(answer.result, 202);
  };

const addAgents =
  (parts: GatewayParts): Handle =>
  async (request) => {
    const input = await readBody(request.req.raw, HOST_API.addAgents.body, parts.config.maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const asked = { agents: input.agents, actor: actorOf(request) };
    const answer = await askIdentity(parts, 'add-agents', asked);
    return answer.kind === 'refused' ? { refused: answer.rejection } : request.json(answer.result, 202);
  };

/** Routes of hosts. */
export const hostRoutes = (parts: GatewayParts): readonly Route[] => [
  {
    ...HOST_API.listHosts,
    handle: reading(parts, (request) =>
      request.json({ hosts: hostsOf(parts).map((host) => shown(parts, host)) }),
    ),
  },
  { ...HOST_API.getHost, handle: reading(parts, getHost(parts)) },
  { ...HOST_API.drainHost, handle: move(parts, 'drain') },
  { ...HOST_API.undrainHost, handle: move(parts, 'undrain') },
  { ...HOST_API.updateHost, handle: move(parts, 'update') },
  { ...HOST_API.retireHost, handle: move(parts, 'retire') },
  { ...HOST_API.listVersions, handle: reading(parts, listVersions(parts)) },
  { ...HOST_API.addAgent, handle: addAgent(parts) },
  { ...HOST_API.addAgents, handle: addAgents(parts) },
];
