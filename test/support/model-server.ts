// A scripted model on loopback, for real agent programs: what it says follows from the conversation alone (which rule fits the newest
// words of a person, how often the model has spoken since), so that retries, resumes and programs side by side stay in step.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { GEMINI } from './model-api-gemini.ts';
import { ANTHROPIC, OPENAI, type Answer, type Asked, type ModelApi, type ModelReply } from './model-apis.ts';

export interface ModelRule {
  /** Fits a person's words that contain it. */
  readonly match: string;
  /** What the model says first, second, …; afterwards it says that the script is over. */
  readonly replies: readonly ModelReply[];
}

export interface ModelServer {
  readonly url: string;
  /** Requests for a reply so far. */
  readonly asked: readonly Asked[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** What the script says to a request. A program may put reminders of its own beside the words of a person. */
const replyTo = ({ items, tools }: Asked, rules: readonly ModelRule[]): ModelReply => {
  // Without tools it is asked for a title or the like.
  if (tools.length === 0) return { text: 'ok' };
  for (const [at, item] of [...items.entries()].toReversed()) {
    const rule = item.who === 'user' && rules.find(({ match }) => item.text.includes(match));
    if (rule === false || rule === undefined) continue;
    const since = items.slice(at);
    const spoken = since.filter(({ who }, index) => who === 'model' && since[index - 1]?.who !== 'model');
    return rule.replies[spoken.length] ?? { text: 'the script is over' };
  }
  return { text: 'no rule fits' };
};

const answerOf = (
  { shell, isAsked = false, served, ...said }: ModelReply,
  id: string,
  api: ModelApi,
  tools: readonly string[],
): Answer => {
  const callId = `call_${id}`;
  if (served !== undefined) {
    const { server, tool, input } = served;
    const called = api.served(server, tool);
    // Programs at one API name such tools in ways of their own.
    const name = tools.find((offered) => offered.endsWith(`${server}_${tool}`)) ?? called.name;
    return { ...said, id, call: { id: callId, ...called, name, input } };
  }
  const offered = api.shells.find(({ name }) => tools.includes(name)) ?? api.shells[0];
  if (shell === undefined || offered === undefined) return { ...said, id };
  return { ...said, id, call: { id: callId, name: offered.name, input: offered.input(shell, isAsked) } };
};

const respond = (response: ServerResponse, status: number, body: object): void => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};

/** Starts it on a free port. */
export const startModelServer = async (rules: readonly ModelRule[]): Promise<ModelServer> => {
  const asked: Asked[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname } = new URL(request.url ?? '/', 'http://model');
    const body: unknown = JSON.parse((await text(request)) || '{}');
    const api = [ANTHROPIC, OPENAI, GEMINI].find(
      ({ path }) => request.method === 'POST' && pathname.endsWith(path),
    );
    if (api === undefined) {
      const isCount = pathname.endsWith('/count_tokens');
      return respond(response, isCount ? 200 : 404, isCount ? { input_tokens: 10 } : { error: pathname });
    }
    const question = api.read(body);
    asked.push(question);
    const reply = replyTo(question, rules);
    if (reply.status !== undefined)
      return respond(response, reply.status, api.error(`scripted ${reply.status}`));
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    for (const [type, data] of api.events(answerOf(reply, `s${asked.length}`, api, question.tools)))
      response.write(`${type === '' ? '' : `event: ${type}\n`}data: ${JSON.stringify(data)}\n\n`);
    response.end();
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => respond(response, 500, { error: String(error) }));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
};
