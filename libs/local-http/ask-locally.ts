// JSON over HTTP to a process on this machine, by its socket file or a loopback port. One connection a request; no retry, no redirect.
// Does not know what is asked: whoever asks reads the answer by a schema of its own.
import { request as httpRequest } from './node-http.ts';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';

export interface LocalRequest {
  /** `unix:/path` or `http://127.0.0.1:port`. */
  readonly address: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Sent as a bearer token; absent: none. */
  readonly token?: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** From the first byte to the whole answer; absent: as long as it takes. */
  readonly withinMs?: number;
  readonly signal?: AbortSignal;
}

export interface LocalAnswer {
  readonly status: number;
  /** Parsed JSON; undefined where there is none. */
  readonly body: unknown;
}

/** An answer longer than this is none. */
const LIMIT_BYTES = 16 * 1024 * 1024;

const targetOf = (
  address: string,
): { readonly socketPath: string } | { readonly host: string; readonly port: string } => {
  if (address.startsWith('unix:')) return { socketPath: address.slice(5) };
  const [, host, port] = /^http:\/\/(127\.0\.0\.1|localhost):(\d{1,5})$/.exec(address) ?? [];
  if (host !== undefined && port !== undefined) return { host, port };
  const message = `${address.slice(0, 200)} is no address on this machine (unix:/path or http://127.0.0.1:port)`;
  throw new Fault({ code: 'LOCAL_ADDRESS_INVALID', retry: 'never', message });
};

const away = (address: string, error: unknown): Fault =>
  new Fault({
    code: 'LOCAL_UNREACHABLE',
    retry: 'later',
    message: `nobody answers at ${address}: ${error instanceof Error ? error.message : String(error)}`,
    cause: error,
  });

const read = async (response: IncomingMessage): Promise<LocalAnswer> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += (chunk as Buffer).byteLength;
    if (size > LIMIT_BYTES) throw new Error(`the answer is over ${LIMIT_BYTES} bytes`);
    chunks.push(chunk as Buffer);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  return { status: response.statusCode ?? 0, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
};

const responseTo = (request: ClientRequest): Promise<IncomingMessage> =>
  new Promise((done, fail) => {
    request.once('response', done);
    // Stays for good: a late error of a connection that was given up is nobody's.
    request.on('error', fail);
  });

/** Asks once. Faults: `LOCAL_UNREACHABLE` (later: nobody there, too slow, or no JSON), `LOCAL_ADDRESS_INVALID` (never). */
export const askLocally = async (
  { address, method, path, token, body, withinMs, signal }: LocalRequest,
  clock: Clock,
): Promise<LocalAnswer> => {
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const headers = {
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...(bytes !== undefined && {
      'content-type': 'application/json',
      'content-length': bytes.byteLength,
    }),
  };
  const request = httpRequest({ ...targetOf(address), method, path, headers, agent: false });
  const giveUp = (why: string) => (): void => void request.destroy(new Error(why));
  const onAbort = giveUp('it was given up');
  const cancel =
    withinMs === undefined ? undefined : clock.timer(withinMs, giveUp(`no answer within ${withinMs} ms`));
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  try {
    const responding = responseTo(request);
    request.end(bytes);
    return await read(await responding);
  } catch (error) {
    throw away(address, error);
  } finally {
    cancel?.();
    signal?.removeEventListener('abort', onAbort);
  }
};
