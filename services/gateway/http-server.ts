// Node's HTTP server around the application. What no route ever sees (what the parser gives up on, a request without a host) is answered
// with a problem document as everything else. Does not listen.
import { getRequestListener } from '@hono/node-server';
import { createServer, STATUS_CODES } from '#libs/local-http/node-http.ts';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { Fault } from '#libs/kernel/fault.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { GatewayEnv } from './http.ts';
import { problemOfFault } from './problem.ts';

const HOST = 'host';

const MEANINGS: Readonly<Record<string, readonly [code: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: ['HEADERS_TOO_LARGE', 'the header lines have 16 KiB at most'],
  ERR_HTTP_REQUEST_TIMEOUT: ['REQUEST_SLOW', 'the request did not come whole in time'],
};

const faultOf = (error: NodeJS.ErrnoException): Fault => {
  const [code, message] = MEANINGS[error.code ?? ''] ?? ['HTTP_MALFORMED', 'this is not HTTP'];
  return new Fault({ code, retry: 'never', message });
};

/** The whole answer, as it goes over the connection. */
const clientErrorAnswer = (error: NodeJS.ErrnoException, requestId: string): string => {
  const { status, headers, body } = problemOfFault(faultOf(error), requestId);
  const text = JSON.stringify(body);
  const lines = Object.entries({
    ...headers,
    'x-request-id': requestId,
    'content-length': String(Buffer.byteLength(text)),
    connection: 'close',
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${text}`;
};

const problemOf = (error: unknown, requestId: string): Response => {
  const message = error instanceof Error ? error.message.slice(0, 200) : 'the request cannot be read';
  const fault = new Fault({ code: 'HTTP_MALFORMED', retry: 'never', message });
  const { status, headers, body } = problemOfFault(fault, requestId);
  return new Response(JSON.stringify(body), { status, headers: { ...headers, 'x-request-id': requestId } });
};

/** RFC 9112 3.2: whoever stands before this server may go by the other one of two. */
const hasOneHost = ({ rawHeaders }: IncomingMessage): boolean => {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (name.length === HOST.length && name.toLowerCase() === HOST) hosts += 1;
  }
  return hosts < 2;
};

/** A server that answers with `fetch`. */
export const createHttpServer = (
  fetch: (request: Request, bindings: GatewayEnv['Bindings']) => Response | Promise<Response>,
  ids: Ids,
): Server => {
  const newId = (): string => `req_${ids.ulid()}`;
  const listener = getRequestListener(
    (request, { incoming, outgoing }) =>
      'rawHeaders' in incoming && hasOneHost(incoming as IncomingMessage)
        ? fetch(request, { outgoing })
        : problemOf(new Error('one header line names the host; there are several'), newId()),
    { errorHandler: (error) => problemOf(error, newId()) },
  );
  // Without a host it is the listener that refuses, with a problem; Node would with a bare status.
  const server = createServer({ requireHostHeader: false }, (incoming, outgoing) => {
    void listener(incoming, outgoing);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    // Gone, or in the middle of another answer: there is nobody to tell.
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else socket.end(clientErrorAnswer(error, newId()));
  });
  return server;
};
