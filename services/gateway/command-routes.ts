// What a run is told over HTTP, doing it once more, and what it waits for. The owner of the run decides; the gateway checks the input, gives
// ids, and passes the answer on. With an Idempotency-Key a repeat is the same command, at any later time and through any gateway.
import { COMMAND_API } from '#streams/http/commands.ts';
import type { RunRequestOf } from '#streams/run-requests.ts';
import { findRun, type ShownRun } from './find-run.ts';
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
import { parseInput, readBody } from './input.ts';
import { idMaker } from './new-ids.ts';
import { linksOf } from './run-routes.ts';

const linksOfCommand = ({ runId }: { readonly runId: string }) => ({
  run: `/api/v1/runs/${runId}`,
  commands: `/api/v1/runs/${runId}/commands`,
});

/** The run of the path, of the boundary that the input names. */
const runOf = async (
  parts: GatewayParts,
  request: GatewayRequest,
  input: Parameters<typeof foreignBoundary>[1],
  afterSeq?: number,
): Promise<ShownRun | Refused> =>
  foreignBoundary(parts, input) ?? (await findRun(parts, request.req.param('id') ?? '', afterSeq));

type Order = Pick<RunRequestOf<'create-command'>, 'type' | 'text' | 'reason' | 'otherwise'>;

const tell = async (
  parts: GatewayParts,
  request: GatewayRequest,
  { run, order }: { readonly run: ShownRun; readonly order: Order },
): Promise<Response | Refused> => {
  const { runId } = run;
  const key = keyOf(request);
  // Commands are of their run: the same key may be used in another one.
  const newId = idMaker(parts.ids, parts.boundary, key === undefined ? undefined : `${runId} ${key}`);
  const answer = await parts.runsClient.ask('create-command', {
    runId,
    commandId: newId('command'),
    ...order,
    actor: actorOf(request),
  });
  if (answer.kind === 'refused') return { refused: answer.rejection };
  return request.json({ ...answer.result, links: linksOfCommand(run) }, 202);
};

const createCommand =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const { body } = COMMAND_API.createCommand;
    const input = await readBody(request.req.raw, body, parts.config.maxBodyBytes);
    const run = await runOf(parts, request, input);
    if (isRefused(run)) return run;
    const { type, text, reason, otherwise } = input;
    return tell(parts, request, { run, order: { type, text, reason, otherwise } });
  };

const interruptRun =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const { body } = COMMAND_API.interruptRun;
    const input = await readBody(request.req.raw, body, parts.config.maxBodyBytes);
    const run = await runOf(parts, request, input);
    if (isRefused(run)) return run;
    const { text, reason } = input;
    return tell(parts, request, { run, order: { type: 'interrupt', text, reason } });
  };

const cancelCommand =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const { body } = COMMAND_API.cancelCommand;
    const input = await readBody(request.req.raw, body, parts.config.maxBodyBytes);
    const run = await runOf(parts, request, input);
    if (isRefused(run)) return run;
    const commandId = request.req.param('command') ?? '';
    if (!/^cmd_[0-9A-Z]{26}$/.test(commandId))
      return refuse('RUN_COMMAND_UNKNOWN', `run ${run.runId} has no command ${commandId.slice(0, 100)}`);
    const { reason } = input;
    const asked = { runId: run.runId, commandId, reason, actor: actorOf(request) };
    const answer = await parts.runsClient.ask('cancel-command', asked);
    if (answer.kind === 'refused') return { refused: answer.rejection };
    return request.json({ ...answer.result, links: linksOfCommand(run) }, 202);
  };

const listCommands =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(COMMAND_API.listCommands.query, request.req.query(), 'query');
    const run = await runOf(parts, request, query, query.afterSeq);
    if (isRefused(run)) return run;
    const { runId, seq, turnCommandId } = run;
    const later = run.commands.filter((command) => command.seq > query.after);
    const commands = later.slice(0, query.limit);
    const next = later.length > commands.length ? (commands.at(-1)?.seq ?? null) : null;
    return request.json({ runId, seq, turnCommandId, commands, next });
  };

const retryRun =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const { body } = COMMAND_API.retryRun;
    const input = await readBody(request.req.raw, body, parts.config.maxBodyBytes);
    const run = await runOf(parts, request, input);
    if (isRefused(run)) return run;
    const { runId } = run;
    const { conversation, prompt } = input;
    const newId = idMaker(parts.ids, parts.boundary, keyOf(request));
    const answer = await parts.runsClient.ask('retry', {
      runId,
      newRunId: newId('run'),
      conversation,
      prompt,
      actor: actorOf(request),
    });
    if (answer.kind === 'refused') return { refused: answer.rejection };
    const { state: _state, ...made } = answer.result;
    const links = linksOf(made);
    return request.json({ ...made, links }, 202, { location: links.self });
  };

const unstick = async (
  parts: GatewayParts,
  request: GatewayRequest,
  { run, fix }: { readonly run: ShownRun; readonly fix: boolean },
): Promise<Response | Refused> => {
  const answer = await parts.runsClient.ask('unstick', { runId: run.runId, fix, actor: actorOf(request) });
  if (answer.kind === 'refused') return { refused: answer.rejection };
  return request.json(answer.result, fix ? 202 : 200);
};

const explainRun =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(COMMAND_API.explainRun.query, request.req.query(), 'query');
    const run = await runOf(parts, request, query, query.afterSeq);
    return isRefused(run) ? run : unstick(parts, request, { run, fix: false });
  };

const unstickRun =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const { body } = COMMAND_API.unstickRun;
    const input = await readBody(request.req.raw, body, parts.config.maxBodyBytes);
    const run = await runOf(parts, request, input);
    return isRefused(run) ? run : unstick(parts, request, { run, fix: true });
  };

export const commandRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...COMMAND_API.listCommands, handle: listCommands(parts) },
  { ...COMMAND_API.createCommand, handle: createCommand(parts) },
  { ...COMMAND_API.cancelCommand, handle: cancelCommand(parts) },
  { ...COMMAND_API.interruptRun, handle: interruptRun(parts) },
  { ...COMMAND_API.retryRun, handle: retryRun(parts) },
  { ...COMMAND_API.explainRun, handle: explainRun(parts) },
  { ...COMMAND_API.unstickRun, handle: unstickRun(parts) },
];
