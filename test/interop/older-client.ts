// A tool of somebody else's: the older `nats` client, no code of ours. It does what streams/README.md says and nothing more.
import { connect, type JsMsg, type Msg, type NatsConnection } from 'nats';

/** Where the broker is, and who reads. */
export interface ReaderAccess {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

/** An entry as such a tool sees it. `seq` is 0 for one that came live. */
interface SeenEntry {
  readonly seq: number;
  readonly subject: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** A connected tool. Dispose of it. */
export interface OlderClient extends AsyncDisposable {
  readonly nc: NatsConnection;
  /** Live entries of a subject, from the moment that this resolves on. */
  live(subject: string): Promise<AsyncIterator<SeenEntry>>;
  /** The value of a key, or undefined. */
  read(bucket: string, key: string): Promise<unknown>;
  /** Present values and then changes, as `[key, value]`. */
  watch(bucket: string, keys: string): Promise<AsyncIterator<readonly [string, unknown]>>;
  /** What a stream holds for a filter now, oldest first, from a sequence or the beginning. */
  replay(stream: string, filter: string, fromSeq?: number): Promise<readonly SeenEntry[]>;
}

const seen = (message: Msg | JsMsg, seq: number): SeenEntry => {
  const { headers } = message;
  const names = headers?.keys() ?? [];
  return {
    seq,
    subject: message.subject,
    headers: Object.fromEntries(names.map((name) => [name, headers?.get(name) ?? ''])),
    body: message.json(),
  };
};

async function* map<From, To>(source: AsyncIterable<From>, change: (item: From) => To): AsyncGenerator<To> {
  for await (const item of source) yield change(item);
}

/** Connects as streams/README.md says. */
export const olderClient = async ({ url, user, password, ...more }: ReaderAccess): Promise<OlderClient> => {
  const nc = await connect({ servers: url, user, pass: password, ...more });
  const js = nc.jetstream();
  return {
    nc,
    live: async (subject) => {
      const subscription = nc.subscribe(subject);
      await nc.flush();
      return map(subscription, (message) => seen(message, 0));
    },
    read: async (bucket, key) => {
      const kv = await js.views.kv(bucket, { bindOnly: true });
      return (await kv.get(key))?.json();
    },
    watch: async (bucket, keys) => {
      const kv = await js.views.kv(bucket, { bindOnly: true });
      const watch = await kv.watch({ key: keys });
      return map(
        watch,
        (entry) => [entry.key, entry.operation === 'PUT' ? entry.json() : undefined] as const,
      );
    },
    replay: async (stream, filter, fromSeq) => {
      const consumer = await js.consumers.get(stream, {
        filterSubjects: [filter],
        ...(fromSeq !== undefined && { opt_start_seq: fromSeq }),
      });
      const entries: SeenEntry[] = [];
      if ((await consumer.info()).num_pending === 0) return entries;
      for await (const message of await consumer.consume()) {
        entries.push(seen(message, message.seq));
        if (message.info.pending === 0) break;
      }
      return entries;
    },
    [Symbol.asyncDispose]: () => nc.close(),
  };
};
