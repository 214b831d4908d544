// Follows one run over the gateway's live stream until it has ended. Goes on after a broken connection where it was
// (Last-Event-ID), so nothing is missed and nothing shown twice.
import { Fault } from '#libs/kernel/fault.ts';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import type { Connection } from './connection.ts';
import type { CliContext } from './context.ts';

export interface RunFeed {
  readonly connection: Connection;
  readonly runId: string;
  readonly context: Pick<CliContext, 'clock' | 'signal'>;
  /** Called in order, once for each message but the end. */
  onMessage(message: EventSourceMessage): Promise<void>;
}

/** Times that a broken stream is taken up again without having brought anything. */
const ATTEMPTS = 20;

const open = async (
  { connection, runId, context }: RunFeed,
  lastEventId: string | undefined,
): Promise<Response | undefined> => {
  const headers: Record<string, string> = { accept: 'text/event-stream' };
  if (connection.apiToken !== undefined) headers['authorization'] = `Bearer ${connection.apiToken}`;
  if (lastEventId !== undefined) headers['last-event-id'] = lastEventId;
  const url = new URL(`/api/v1/runs/${encodeURIComponent(runId)}/stream`, connection.apiUrl);
  try {
    return await fetch(url, { headers, signal: context.signal });
  } catch {
    return undefined;
  }
};

/** Messages of one connection; ends when it breaks or is closed. */
async function* messagesOf(response: Response): AsyncGenerator<EventSourceMessage> {
  const ready: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => void ready.push(message) });
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body ?? []) {
      parser.feed(decoder.decode(chunk, { stream: true }));
      yield* ready.splice(0);
    }
  } catch {
    // A broken connection: the caller goes on from the last id.
  }
}

const refused = async (response: Response, runId: string): Promise<Fault> => {
  const body: unknown = await response.json().catch(() => ({}));
  const { code, detail } = body as { code?: unknown; detail?: unknown };
  return new Fault({
    code: typeof code === 'string' ? code : 'API_ANSWER_INVALID',
    retry: 'never',
    message:
      typeof detail === 'string' ? detail : `the stream of ${runId} was answered with ${response.status}`,
  });
};

/** Hands the messages of one connection on. Returns how many, and whether the end was among them. */
const consume = async (
  response: Response,
  onMessage: (message: EventSourceMessage) => Promise<void>,
): Promise<{ readonly count: number; readonly ended: boolean }> => {
  let count = 0;
  for await (const message of messagesOf(response)) {
    if (message.event === 'end') return { count, ended: true };
    count += 1;
    await onMessage(message);
  }
  return { count, ended: false };
};

/** Resolves when the run has ended and everything was shown, or when the signal aborts. Faults: the gateway's refusal, `API_UNREACHABLE` (later). */
export const followRun = async (feed: RunFeed): Promise<void> => {
  const { clock, signal } = feed.context;
  let lastEventId: string | undefined;
  for (let attempt = 0; attempt < ATTEMPTS && !signal.aborted; attempt++) {
    const response = await open(feed, lastEventId);
    if (response !== undefined && !response.ok && response.status < 500)
      throw await refused(response, feed.runId);
    if (response?.ok === true) {
      const { count, ended } = await consume(response, (message) => {
        lastEventId = message.id ?? lastEventId;
        return feed.onMessage(message);
      });
      if (ended) return;
      if (count > 0) attempt = 0;
    }
    await clock.sleep(Math.min(200 * 2 ** attempt, 3_000), signal);
  }
  if (signal.aborted) return;
  throw new Fault({
    code: 'API_UNREACHABLE',
    retry: 'later',
    message: `the stream of ${feed.runId} broke off and could not be taken up again; the run goes on: fleetlog run show ${feed.runId}`,
  });
};
