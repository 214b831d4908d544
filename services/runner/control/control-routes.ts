// The operations of the control endpoint, for any program: what each takes, who may ask for it, and which part answers.
// The same operations in the words of Claude Code and Codex are in hook-routes.ts.
import { timingSafeEqual } from 'node:crypto';
import type { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { makeId } from '#streams/ids.ts';
import { parseBody, type HttpRoute, type RouteCall } from './control-http.ts';
import {
  askSchema,
  doneSchema,
  hookFatalSchema,
  nothingSchema,
  permissionSchema,
  promptSchema,
  replySchema,
  sendSchema,
  sessionEndSchema,
  turnSchema,
} from './control-input.ts';
import type {
  ApprovalCall,
  ApprovalDecision,
  ApprovalsPart,
  ControlParts,
  ControlTurn,
  PartAnswer,
} from './control-parts.ts';
import { refusal } from './control-problem.ts';
import type { ControlTurns, LiveTurn } from './control-turns.ts';
import type { StopGate } from './stop-gate.ts';
import type { Mirrored, TurnMirror } from './turn-mirror.ts';

/** Everything that routes work with. */
export interface RouteParts {
  readonly parts: ControlParts;
  readonly turns: ControlTurns;
  readonly mirror: TurnMirror;
  readonly gate: StopGate;
  readonly ids: Ids;
  /** Of the info file: may look, and is no turn. */
  readonly operatorToken: string;
  /** What the runner says of itself. */
  readonly status: () => object;
  /** RN-15: a hook has failed for good. */
  readonly onHookFatal: (turn: ControlTurn, hook: string, error: string) => void;
}

/** Bodies of messages and questions, and bodies that carry what a program printed. */
const SMALL_BYTES = 256 * 1024;
export const LARGE_BYTES = 8 * 1024 * 1024;
const INBOX_DEFAULT = 20;
const INBOX_MOST = 200;

const isSame = (one: string, other: string): boolean =>
  one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));

const refuse = (code: string, message: string): Fault => new Fault({ code, retry: 'never', message });

const tokenRequired = (): Fault =>
  refuse('TOKEN_REQUIRED', 'send the token of the turn: `Authorization: Bearer $FLEETLOG_TURN_TOKEN`');

/** The turn of a call. Faults: `TOKEN_REQUIRED`, `TOKEN_UNKNOWN`, `TURN_OVER`, `TURN_REQUIRED` (never). */
export const turnOf = ({ turns, operatorToken }: RouteParts, token: string | null): LiveTurn => {
  if (token === null) throw tokenRequired();
  if (isSame(token, operatorToken))
    throw refuse('TURN_REQUIRED', 'the token of the runner may look; this takes the token of a turn');
  return turns.find(token);
};

const looks = (routes: RouteParts, token: string | null): void => {
  if (token === null) throw tokenRequired();
  if (!isSame(token, routes.operatorToken)) routes.turns.find(token);
};

/** The part, or the refusal that it is not there. */
const wired = <Part>(part: Part | undefined, code: string): Part => {
  if (part !== undefined) return part;
  throw refuse(code, `this runner has nobody for this (${code})`);
};

const resultOf = <Result>(answer: PartAnswer<Result>): Result => {
  if (answer.kind === 'ok') return answer.result;
  throw refusal(answer.code, answer.message);
};

/** Decides about a call. Faults: `APPROVALS_UNAVAILABLE` (never) and those of the part. */
export const decide = (
  { parts }: RouteParts,
  turn: ControlTurn,
  call: ApprovalCall,
): Promise<ApprovalDecision> => wired(parts.approvals, 'APPROVALS_UNAVAILABLE').decide(turn, call);

/** What a program was told during its turn; what its run asked for is on record already. */
export const echoPrompt = async ({ mirror }: RouteParts, live: LiveTurn, text: string): Promise<Mirrored> =>
  text.trim() === live.prompt.trim()
    ? { stored: true }
    : mirror.report(live.turn, 'prompt-echoed', { text, origin: 'program' });

/** A route for programs in a turn. */
const inTurn =
  (routes: RouteParts) =>
  <Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    handle: (live: LiveTurn, body: z.output<Schema>, call: RouteCall) => object | Promise<object>,
    limitBytes = SMALL_BYTES,
  ): HttpRoute => ({
    method: 'POST',
    path,
    limitBytes,
    admit: (token) => void turnOf(routes, token),
    handle: (call) => {
      const body = parseBody(schema, call.body);
      // Looked up again: the turn may have ended while the body was on its way.
      return handle(turnOf(routes, call.token), body, call);
    },
  });

const lookRoutes = (routes: RouteParts): readonly HttpRoute[] => {
  const { parts } = routes;
  const look = (path: string, handle: (call: RouteCall) => object): HttpRoute => ({
    method: 'GET',
    path,
    limitBytes: 0,
    admit: (token) => looks(routes, token),
    handle,
  });
  return [
    look('/v1/status', routes.status),
    look('/v1/obligations', () => wired(parts.obligations, 'OBLIGATIONS_UNAVAILABLE').current()),
    look('/v1/mail/inbox', ({ query }) => {
      const asked = Number(query.get('limit') ?? INBOX_DEFAULT);
      const limit = Number.isInteger(asked) && asked > 0 ? Math.min(asked, INBOX_MOST) : INBOX_DEFAULT;
      return { messages: wired(parts.mail, 'MAIL_UNAVAILABLE').inbox(limit) };
    }),
  ];
};

const mirrorRoutes = (routes: RouteParts): readonly HttpRoute[] => {
  const { mirror, gate } = routes;
  const post = inTurn(routes);
  return [
    post('/v1/user-prompt', promptSchema, (live, { text }) => echoPrompt(routes, live, text), LARGE_BYTES),
    post(
      '/v1/session-turn',
      turnSchema,
      ({ turn }, { kind, text, key }) =>
        mirror.report(
          turn,
          kind === 'response' ? 'text' : 'reasoning',
          { text },
          key === undefined ? undefined : `said-${key}`,
        ),
      LARGE_BYTES,
    ),
    post('/v1/session-end', sessionEndSchema, ({ turn }, body) => mirror.report(turn, 'session-ended', body)),
    post('/v1/hook-fatal', hookFatalSchema, ({ turn }, { hook, error }) => {
      routes.onHookFatal(turn, hook, error);
      return mirror.report(turn, 'hook-failed', { hook, error });
    }),
    post('/v1/stop', nothingSchema, (live) => {
      const reason = gate.ask(live);
      return reason === null ? { decision: 'stop' } : { decision: 'go-on', reason };
    }),
  ];
};

const askRoutes = (routes: RouteParts): readonly HttpRoute[] => {
  const { parts, ids } = routes;
  const post = inTurn(routes);
  const ask: ApprovalsPart['ask'] = (turn, call, signal) =>
    wired(parts.approvals, 'APPROVALS_UNAVAILABLE').ask(turn, call, AbortSignal.any([signal, turn.signal]));
  const newMessageId = (): string => makeId('message', ids.ulid());
  return [
    post('/v1/mail/send', sendSchema, async ({ turn }, { messageId = newMessageId(), ...mail }) =>
      resultOf(await wired(parts.mail, 'MAIL_UNAVAILABLE').send(turn, { messageId, ...mail })),
    ),
    post('/v1/mail/reply', replySchema, async ({ turn }, { messageId = newMessageId(), ...mail }) =>
      resultOf(await wired(parts.mail, 'MAIL_UNAVAILABLE').reply(turn, { messageId, ...mail })),
    ),
    post('/v1/done', doneSchema, async ({ turn }, signal) =>
      resultOf(await wired(parts.turns, 'TURNS_UNAVAILABLE').signalDone(turn, signal)),
    ),
    post(
      '/v1/permission',
      permissionSchema,
      ({ turn }, { callId, tool, input }, { signal }) => ask(turn, { callId, tool, input }, signal),
      LARGE_BYTES,
    ),
    post('/v1/ask', askSchema, ({ turn }, { callId, question, detail }, { signal }) =>
      ask(turn, { callId, tool: 'question', input: detail ?? null, question }, signal),
    ),
  ];
};

/** All of them. */
export const controlRoutes = (routes: RouteParts): readonly HttpRoute[] => [
  ...lookRoutes(routes),
  ...mirrorRoutes(routes),
  ...askRoutes(routes),
];
