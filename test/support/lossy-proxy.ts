// A stretch of network between a client and a broker that can lose what the broker answers: everything the client sends arrives.
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';

export interface LossyProxy extends AsyncDisposable {
  readonly url: string;
  /** From now on nothing of what the broker says arrives, until {@link LossyProxy.pass}. */
  swallow(): void;
  pass(): void;
}

/** A proxy in front of `nats://host:port`; a connection that breaks on one side breaks on the other. */
export const lossyProxy = async (target: string): Promise<LossyProxy> => {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let isSwallowing = false;
  const keep = (socket: Socket, other: Socket): void => {
    sockets.add(socket);
    socket.setNoDelay(true);
    // Why it broke does not matter: the other side is told by its end.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      other.destroy();
    });
  };
  const server = createServer((client) => {
    const broker = connect({ host: hostname, port: Number(port) });
    keep(client, broker);
    keep(broker, client);
    client.on('data', (chunk: Buffer) => broker.write(chunk));
    broker.on('data', (chunk: Buffer) => {
      if (!isSwallowing) client.write(chunk);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return {
    url: `nats://127.0.0.1:${address.port}`,
    swallow: () => {
      isSwallowing = true;
    },
    pass: () => {
      isSwallowing = false;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
};
