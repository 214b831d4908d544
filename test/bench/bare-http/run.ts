// The floor of a read over HTTP: a server that answers each path with the bytes that were put there. No code of ours.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const bodies = new Map<string, Buffer>();
const server = createServer((request, response) => {
  const path = request.url ?? '';
  if (request.method !== 'PUT') {
    response.setHeader('content-type', 'application/json');
    response.end(bodies.get(path));
    return;
  }
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    bodies.set(path, Buffer.concat(chunks));
    response.end();
  });
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`ready ${(server.address() as AddressInfo).port}\n`);
});
