// A live stream of the API, taken up again where it was (Last-Event-ID) when its connection breaks, so nothing is missed and nothing
// comes twice. Ends with the event `end`, or when its reader leaves.
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { problemOf } from './api-problem.ts';
import { headersOf, type ApiPlace } from './api-request.ts';

/** What happened, as it came. */
export interface ApiEvent {
  /** `transition`, `report`, or `gone`: what the stream has forgotten before it could be shown. */
  readonly event: string;
  /** Where it stands: give it back as `lastEventId` to go on after it. */
  readonly id: string | undefined;
  /** Parsed. */
  readonly data: Readonly<Record<string, unknown>>;
  /** As it came. */
  readonly text: string;
}

interface Streaming extends ApiPlace {
  readonly path: string;
  readonly lastEventId?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly clock: Clock;
}

/** Times that a broken stream is taken up again without having brought anything. */
const ATTEMPTS = 20;

const open = async ({ path, signal, ...place }: Streaming, lastEventId: string | undefined) => {
  const headers = headersOf(place, 'text/event-stream');
  if (lastEventId !== undefined) headers['last-event-id'] = lastEventId;
  try {
    return await fetch(new URL(path, place.url), { headers, ...(signal !== undefined && { signal }) });
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
      parser.feed(decoder.decode(chunk as Uint8Array, { stream: true }));
      yield* ready.splice(0);
    }
  } catch {
    // A broken connection: the caller goes on from the last id.
  }
}

const eventOf = ({ event = 'message', id, data }: EventSourceMessage): ApiEvent => ({
  event,
  id,
  data: JSON.parse(data) as Record<string, unknown>,
  text: data,
});

/** The messages of one more connection. Throws `ApiProblem` when it is refused; nothing when it cannot be had. */
async function* connectionOf(
  streaming: Streaming,
  lastEventId: string | undefined,
): AsyncGenerator<EventSourceMessage> {
  const response = await open(streaming, lastEventId);
  if (response === undefined) return;
  if (response.ok) yield* messagesOf(response);
  else if (response.status < 500 && response.status !== 429)
    throw problemOf(response.status, await response.text());
}

const brokenOff = (path: string, lastEventId: string | undefined): Fault =>
  new Fault({
    code: 'API_UNREACHABLE',
    retry: 'later',
    message: `the stream ${path} broke off and could not be taken up again`,
    detail: { lastEventId },
  });

/** The events of a stream. Throws `ApiProblem` when it is refused, `API_UNREACHABLE` (later) when it cannot be taken up again. */
export async function* followStream(streaming: Streaming): AsyncGenerator<ApiEvent> {
  const { clock, signal } = streaming;
  const isLeft = (): boolean => signal?.aborted === true;
  let { lastEventId } = streaming;
  for (let attempt = 0; attempt < ATTEMPTS && !isLeft(); attempt += 1) {
    for await (const message of connectionOf(streaming, lastEventId)) {
      if (message.event === 'end') return;
      lastEventId = message.id ?? lastEventId;
      attempt = 0;
      yield eventOf(message);
    }
    await clock.sleep(Math.min(200 * 2 ** attempt, 3000), signal);
  }
  if (!isLeft()) throw brokenOff(streaming.path, lastEventId);
}
