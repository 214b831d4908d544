// Our side of a JSON-RPC connection, one message a line: which line is what, and whose answer it is. Never throws at what comes in and
// closes nothing because of it; knows nothing of sessions or prompts. Reading is the caller's, so that it can be slowed down.
//
// Not the protocol's own library: measured on its version 2.4.0, it answers a line that is no JSON and forgets it, does so with updates
// whose shape it does not know, gives the connection up at a line over its limit, and reads on however many updates are not taken yet.
import { readJsonLine, unknownLine } from '#services/runner/providers/json-line.ts';
import type { Line } from '#services/runner/providers/line-splitter.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import {
  errorMessage,
  notificationMessage,
  requestMessage,
  resultMessage,
  type RequestId,
  type RpcError,
} from './acp-message.ts';

/** What came of a request. `gone`: the agent ended before it answered. */
export type Answer =
  | { readonly kind: 'result'; readonly result: unknown }
  | { readonly kind: 'error'; readonly error: RpcError }
  | { readonly kind: 'gone' };

/** What a line is to whoever reads it. */
export type Incoming =
  | { readonly kind: 'request'; readonly id: RequestId; readonly method: string; readonly params: unknown }
  | { readonly kind: 'notification'; readonly method: string; readonly params: unknown }
  /** An answer to a request of ours, which has been told. */
  | { readonly kind: 'answered' }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'unknown'; readonly event: ProviderEvent };

const METHOD_NOT_FOUND = -32_601;

export class AcpPeer {
  readonly #write: (text: string) => void;
  readonly #waiting = new Map<RequestId, (answer: Answer) => void>();
  #lastId = 0;
  #isGone = false;

  /** `write` must not throw. */
  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /**
   * Asks for something. Never rejects; an answer that does not come is the caller's to wait for, or not. `onAnswered` is called before the
   * line behind the answer is read.
   */
  request(method: string, params: object, onAnswered?: () => void): Promise<Answer> {
    if (this.#isGone) return Promise.resolve({ kind: 'gone' });
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise: answer, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.set(id, (what) => {
      onAnswered?.();
      resolve(what);
    });
    this.#send({ id, method, params });
    return answer;
  }

  notify(method: string, params: object): void {
    this.#send({ method, params });
  }

  answer(id: RequestId, result: object): void {
    this.#send({ id, result });
  }

  /** Says that we do not offer what was asked for. */
  decline(id: RequestId, method: string): void {
    this.#send({ id, error: { code: METHOD_NOT_FOUND, message: `not offered here: ${method}` } });
  }

  /** The agent has ended: nothing is answered any more. */
  close(): void {
    this.#isGone = true;
    for (const resolve of this.#waiting.values()) resolve({ kind: 'gone' });
    this.#waiting.clear();
  }

  /** Takes a line; an answer is given to whoever waits for it. */
  take(line: Line): Incoming & { readonly content: string } {
    const json = readJsonLine(line);
    if (json.kind === 'empty') return { kind: 'nothing', content: '' };
    if (json.kind === 'unknown') return { ...json, content: '' };
    const { value, content } = json;
    if ('method' in value) return { ...this.#asked(value, content), content };
    const failed = errorMessage.safeParse(value);
    if (failed.success)
      return {
        ...this.#answered(failed.data.id, { kind: 'error', error: failed.data.error }, content),
        content,
      };
    const succeeded = resultMessage.safeParse(value);
    if (succeeded.success && 'result' in value) {
      const { id, result } = succeeded.data;
      return { ...this.#answered(id, { kind: 'result', result }, content), content };
    }
    return { kind: 'unknown', event: unknownLine(content, 'not a message of JSON-RPC'), content };
  }

  #asked(value: object, content: string): Incoming {
    const request = requestMessage.safeParse(value);
    if (request.success) return { kind: 'request', ...withParams(request.data) };
    const told = notificationMessage.safeParse(value);
    if (told.success && !('id' in value)) return { kind: 'notification', ...withParams(told.data) };
    return { kind: 'unknown', event: unknownLine(content, 'not a message of JSON-RPC') };
  }

  #answered(id: RequestId | null, answer: Answer, content: string): Incoming {
    const resolve = id === null ? undefined : this.#waiting.get(id);
    if (id === null || resolve === undefined)
      return { kind: 'unknown', event: unknownLine(content, 'an answer to nothing that was asked') };
    this.#waiting.delete(id);
    resolve(answer);
    return { kind: 'answered' };
  }

  #send(message: object): void {
    if (!this.#isGone) this.#write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  }
}

const withParams = <Message extends { readonly params?: unknown }>({
  params,
  ...message
}: Message): Omit<Message, 'params'> & { readonly params: unknown } => ({ ...message, params });
