// How a service is found and looked at by NATS tools (`nats micro ls|info|stats`): ADR-32's answers at $SRV.{PING,INFO,STATS}[.name[.id]],
// over the request server that serves its operations. Counts what the operations did; holds a few numbers for each. Does not serve them.
import { toFault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { RequestMessage, RequestServer } from '#libs/ports/requests.ts';
import { isoTime } from '#libs/telemetry/iso-time.ts';
import type { ServedRequest } from './define-service.ts';
import { jsonBody } from './json-body.ts';
import { ERROR_HEADER } from './serve-request.ts';

type Handler = ServedRequest['handle'];

interface Endpoint {
  readonly name: string;
  readonly subject: string;
  readonly queue_group: string;
  readonly metadata: Readonly<Record<string, string>>;
}

interface Counts {
  requests: number;
  errors: number;
  lastError: string;
  elapsedMs: number;
}

/** The operation of a subject: its last token that is not a wildcard, in the letters that tools take. */
const nameOf = (subject: string): string =>
  subject
    .split('.')
    .findLast((token) => token !== '*' && token !== '>')
    ?.replaceAll(/[^\w-]/g, '_') ?? 'request';

/** An endpoint's name is its own within the service: an operation of control plane and runners is there twice. */
const uniqueName = (wanted: string, taken: ReadonlySet<string>): string => {
  let name = wanted;
  for (let number = 2; taken.has(name); number += 1) name = `${wanted}-${number}`;
  return name;
};

export interface Discovery {
  /** The handler of an operation, counted from now on. */
  counted(request: ServedRequest, group: string): Handler;
  /** Serves what tools ask; call it when every operation is known. */
  serve(): { readonly stop: () => Promise<void> };
}

interface Parts {
  readonly name: string;
  /** Of this instance. */
  readonly id: string;
  /** Of the product, as `1.2.3`. */
  readonly version: string;
  readonly server: RequestServer;
  readonly clock: Clock;
}

const NS_PER_MS = 1_000_000;

class Directory implements Discovery {
  readonly #parts: Parts;
  readonly #startedAt: string;
  readonly #endpoints: { readonly endpoint: Endpoint; readonly counts: Counts }[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#startedAt = isoTime(parts.clock.now());
  }

  counted(request: ServedRequest, group: string): Handler {
    const { subject, means } = request;
    const taken = new Set(this.#endpoints.map(({ endpoint }) => endpoint.name));
    const counts: Counts = { requests: 0, errors: 0, lastError: '', elapsedMs: 0 };
    const name = uniqueName(nameOf(subject), taken);
    const metadata = means === undefined ? {} : { means };
    this.#endpoints.push({ endpoint: { name, subject, queue_group: group, metadata }, counts });
    return (message) => this.#count(counts, request, message);
  }

  async #count(counts: Counts, request: ServedRequest, message: RequestMessage): ReturnType<Handler> {
    const { clock } = this.#parts;
    const startedMs = clock.monotonicMs();
    counts.requests += 1;
    try {
      const reply = await request.handle(message);
      const error = reply.headers?.[ERROR_HEADER];
      if (error !== undefined) this.#failed(counts, error);
      return reply;
    } catch (error) {
      this.#failed(counts, toFault(error).code);
      throw error;
    } finally {
      counts.elapsedMs += clock.monotonicMs() - startedMs;
    }
  }

  #failed(counts: Counts, error: string): void {
    counts.errors += 1;
    counts.lastError = error;
  }

  serve(): { readonly stop: () => Promise<void> } {
    const { name, id, server } = this.#parts;
    const places = ['$SRV.*', `$SRV.*.${name}`, `$SRV.*.${name}.${id}`];
    // A group of its own: every instance answers.
    const served = places.map((place) => server.serve(place, id, (message) => this.#answer(message)));
    return { stop: async () => void (await Promise.all(served.map((one) => one.stop()))) };
  }

  #answer({ subject }: RequestMessage): ReturnType<Handler> {
    const { name, id, version } = this.#parts;
    const verb = (subject.split('.')[1] ?? '').toLowerCase();
    const about = { type: `io.nats.micro.v1.${verb}_response`, name, id, version, metadata: {} };
    if (verb === 'ping') return Promise.resolve({ body: jsonBody(about) });
    if (verb === 'info') return Promise.resolve({ body: jsonBody({ ...about, ...this.#info() }) });
    if (verb === 'stats') return Promise.resolve({ body: jsonBody({ ...about, ...this.#stats() }) });
    const headers = { [ERROR_HEADER]: `${verb} is not known`, 'Nats-Service-Error-Code': '404' };
    return Promise.resolve({ headers, body: new Uint8Array() });
  }

  #info() {
    return {
      description: `The ${this.#parts.name} service of Fleetlog`,
      endpoints: this.#endpoints.map(({ endpoint }) => endpoint),
    };
  }

  #stats() {
    return {
      started: this.#startedAt,
      endpoints: this.#endpoints.map(({ endpoint: { metadata: _metadata, ...endpoint }, counts }) => {
        const processingTime = Math.round(counts.elapsedMs * NS_PER_MS);
        return {
          ...endpoint,
          num_requests: counts.requests,
          num_errors: counts.errors,
          last_error: counts.lastError,
          // Nanoseconds.
          processing_time: processingTime,
          average_processing_time: counts.requests === 0 ? 0 : Math.round(processingTime / counts.requests),
        };
      }),
    };
  }
}

export const createDiscovery = (parts: Parts): Discovery => new Directory(parts);
