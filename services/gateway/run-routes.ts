// Asking for work and for its end: POST /runs and POST /runs/{id}/cancel. The owner of the run decides; the gateway checks
// the input, gives ids, and passes the answer on. With an Idempotency-Key the ids follow from the key, so that a repeat
// finds what the first request made, at any later time and through any gateway.
import { RUN_API, type CreateRunInput } from '#streams/http/runs.ts';
import type { IdKind } from '#streams/ids.ts';
import type { WorkDefaults } from '#streams/receipts.ts';
import type { RunRequestOf } from '#streams/run-requests.ts';
import type { RunRequest } from '#streams/run.ts';
import { foreignToSession, type OwnedSession } from '#streams/session-owner.policy.ts';
import { idMaker } from './new-ids.ts';
import { findRun, findSession } from './find-run.ts';
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

/** Where everything about a run is. */
export const linksOf = (run: { readonly runId: string; readonly sessionId: string }) => {
  const self = `/api/v1/runs/${run.runId}`;
  return {
    self,
    events: `${self}/events`,
    stream: `${self}/stream`,
    cancel: `${self}/cancel`,
    session: `/api/v1/sessions/${run.sessionId}`,
  };
};

/** ST-45: the prompt in one line, for lists; 120 characters of it. */
export const titleOfPrompt = (prompt: string): string | null => {
  const line = prompt.slice(0, 2000).replaceAll(/\s+/g, ' ').trim().slice(0, 120);
  return line === '' ? null : line;
};

/** What has no default here: the runner's own rules count where nothing was asked. */
export const givenRules = (input: CreateRunInput): Partial<RunRequest> => {
  const { program, workspace, completion, resumeMismatch, checkout, conversation, approvals } = input;
  const asked = { program, workspace, completion, resumeMismatch, checkout, conversation, approvals };
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
};

/** What is not in the input of a request. */
interface Asking {
  readonly defaults: WorkDefaults;
  readonly newId: (kind: IdKind) => string;
  readonly actor: string;
  /** Whose conversation it goes on with, if any: that agent and provider are meant where none is named. */
  readonly owner: OwnedSession | undefined;
}

const requestOf = (
  input: CreateRunInput,
  { defaults, newId, actor, owner }: Asking,
): RunRequestOf<'create'> => ({
  runId: newId('run'),
  sessionId: input.session ?? newId('session'),
  // One that is named was looked for.
  mayOpenSession: true,
  agent: input.agent ?? owner?.agent ?? defaults.agent,
  provider: input.provider ?? owner?.provider ?? 'exec',
  title: input.title ?? titleOfPrompt(input.prompt),
  request: {
    prompt: input.prompt,
    turnTimeoutMs: input.turnTimeoutMs ?? defaults.turnTimeoutMs,
    ...givenRules(input),
  },
  replay: input.replay ?? 'requeue',
  maxAttempts: input.maxAttempts ?? defaults.maxAttempts,
  leaseMs: input.leaseMs ?? defaults.leaseMs,
  ...(input.parent !== undefined && { parent: input.parent }),
  actor,
});

const createRun =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const { config, boundary, ids } = parts;
    const key = keyOf(request);
    const input = await readBody(request.req.raw, RUN_API.createRun.body, config.maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const owner = input.session === undefined ? undefined : await findSession(parts, input.session);
    if (owner !== undefined && isRefused(owner)) return owner;
    const asked = requestOf(input, {
      owner,
      defaults: request.get('defaults'),
      newId: idMaker(ids, boundary, key),
      actor: actorOf(request),
    });
    const { parent } = asked;
    if (parent !== undefined && !parts.knowsAgent(parent) && !config.people.includes(parent))
      return refuse(
        'RECIPIENT_UNKNOWN',
        `no agent or person is called ${parent}: nobody could be told how the run ends`,
      );
    if (!parts.knowsAgent(asked.agent))
      return refuse('AGENT_UNKNOWN', `no runner is set up for agent ${asked.agent}`);
    const refused = owner && foreignToSession(owner, asked);
    if (refused !== undefined) return { refused };
    const answer = await parts.runsClient.ask('create', asked);
    if (answer.kind === 'refused') return { refused: answer.rejection };
    const { runId, sessionId, seq, repeated } = answer.result;
    const links = linksOf(answer.result);
    return request.json({ runId, sessionId, seq, repeated, links }, 202, { location: links.self });
  };

const cancelRun =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const input = await readBody(request.req.raw, RUN_API.cancelRun.body, parts.config.maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const run = await findRun(parts, request.req.param('id') ?? '');
    if (isRefused(run)) return run;
    const { runId } = run;
    const answer = await parts.runsClient.ask('cancel', {
      runId,
      reason: input.reason,
      actor: actorOf(request),
    });
    if (answer.kind === 'refused') return { refused: answer.rejection };
    return request.json({ ...answer.result, links: linksOf(run) }, 202);
  };

export const runRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...RUN_API.createRun, handle: createRun(parts) },
  { ...RUN_API.cancelRun, handle: cancelRun(parts) },
];
