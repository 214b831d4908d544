// What is said about sessions: made or changed, where their storage is, given up, collected, read. The owner of the session decides; the
// gateway checks the input, gives ids, and passes the answer on. With an Idempotency-Key a repeat is the same request.
import { SESSION_API } from '#streams/http/sessions.ts';
import type { SessionResultOf } from '#streams/session-requests.ts';
import type { ProviderName } from '#streams/run.ts';
import { findSession } from './find-run.ts';
import {
  actorOf,
  foreignBoundary,
  isRefused,
  keyOf,
  refuse,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { readBody } from './input.ts';
import { markRead } from './mark-read.ts';
import { idMaker } from './new-ids.ts';
import { sessionLinks } from './session-reading.ts';
import { requestIdOf } from './task-routes.ts';

const changed = (request: GatewayRequest, result: SessionResultOf<'upsert'>): Response => {
  const links = sessionLinks(result.sessionId);
  return request.json({ ...result, links }, 202, { location: links.self });
};

/** Whose session it is, where it is there already; what is named is checked by the owner. */
const ownerOf = async (
  parts: GatewayParts,
  sessionId: string,
): Promise<{ readonly agent: string; readonly provider: ProviderName } | undefined> => {
  const session = await findSession(parts, sessionId);
  return isRefused(session) ? undefined : session;
};

const upsert =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const { config, boundary, ids } = parts;
    const key = keyOf(request);
    const input = await readBody(request.req.raw, SESSION_API.upsertSession.body, config.maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const { tenant: _tenant, project: _project, session, agent, provider, ...details } = input;
    const owner = session === undefined ? undefined : await ownerOf(parts, session);
    const asked = agent ?? owner?.agent ?? config.agents[0] ?? '';
    if (owner === undefined && !parts.knowsAgent(asked))
      return refuse('AGENT_UNKNOWN', `no runner is set up for agent ${asked}`);
    const answer = await parts.sessionsClient.ask('upsert', {
      sessionId: session ?? idMaker(ids, boundary, key)('session'),
      agent: asked,
      provider: provider ?? owner?.provider ?? 'exec',
      details,
      requestId: requestIdOf(parts, request),
      actor: actorOf(request),
    });
    return answer.kind === 'refused' ? { refused: answer.rejection } : changed(request, answer.result);
  };

const store =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const { maxBodyBytes } = parts.config;
    const input = await readBody(request.req.raw, SESSION_API.storeSession.body, maxBodyBytes);
    const session =
      foreignBoundary(parts, input) ?? (await findSession(parts, request.req.param('id') ?? ''));
    if (isRefused(session)) return session;
    const { kind, name, bytes = null, files = null, sha256 = null, subfolder } = input;
    const answer = await parts.sessionsClient.ask('store', {
      sessionId: session.sessionId,
      storage: { kind, name, bytes, files, sha256 },
      ...(subfolder !== undefined && { subfolder }),
      requestId: requestIdOf(parts, request),
      actor: actorOf(request),
    });
    return answer.kind === 'refused' ? { refused: answer.rejection } : changed(request, answer.result);
  };

const evict =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const { maxBodyBytes } = parts.config;
    const input = await readBody(request.req.raw, SESSION_API.evictSession.body, maxBodyBytes);
    const session =
      foreignBoundary(parts, input) ?? (await findSession(parts, request.req.param('id') ?? ''));
    if (isRefused(session)) return session;
    const { name, reason } = input;
    const answer = await parts.sessionsClient.ask('evict', {
      sessionId: session.sessionId,
      name,
      reason,
      requestId: requestIdOf(parts, request),
      actor: actorOf(request),
    });
    return answer.kind === 'refused' ? { refused: answer.rejection } : changed(request, answer.result);
  };

const collect =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const { maxBodyBytes } = parts.config;
    const input = await readBody(request.req.raw, SESSION_API.collectSessions.body, maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const isTrial = input.trial;
    const answer = await parts.sessionsClient.ask('collect', { isTrial, actor: actorOf(request) });
    if (answer.kind === 'refused') return { refused: answer.rejection };
    return request.json({ ...answer.result, trial: isTrial }, 202);
  };

const read = (parts: GatewayParts) =>
  markRead(parts, 'session', async (id) => {
    const session = await findSession(parts, id);
    return isRefused(session) ? session : { id: session.sessionId, seq: session.seq };
  });

export const sessionRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...SESSION_API.upsertSession, handle: upsert(parts) },
  { ...SESSION_API.storeSession, handle: store(parts) },
  { ...SESSION_API.evictSession, handle: evict(parts) },
  { ...SESSION_API.collectSessions, handle: collect(parts) },
  { ...SESSION_API.readSession, handle: read(parts) },
];
