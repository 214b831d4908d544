// Picks loopback ports that nobody listens on. The answer is a guess: between looking and binding another process may
// take the port, so a start that fails for that reason tries again with the next one.
import { createServer } from 'node:net';

// Below every platform's range of automatic client ports: otherwise a client that keeps redialling a broker which is
// down may be given the broker's own port and connect to itself, and the broker cannot come back.
const FIRST_PORT = 20_000;
const PORTS = 10_000;

/** Whether `port` can be bound on `host` right now. */
export const isPortFree = (port: number, host: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)));
  });

// Each process begins at a place of its own, so that test workers starting together do not race for the same port.
let offset = (process.pid * 131) % PORTS;

/** A port in 20000–29999 that was free a moment ago; every call of a process moves on to other ports. */
export const findFreePort = async (host: string): Promise<number> => {
  for (let tried = 0; tried < PORTS; tried += 1) {
    const port = FIRST_PORT + offset;
    offset = (offset + 1) % PORTS;
    if (await isPortFree(port, host)) return port;
  }
  throw new RangeError(`no free port on ${host} between ${FIRST_PORT} and ${FIRST_PORT + PORTS - 1}`);
};
