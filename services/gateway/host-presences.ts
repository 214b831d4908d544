// Hosts that are alive, and what each says of itself, in memory from the bucket `presence`.
import type { KeyValue } from '#libs/ports/key-value.ts';
import { parseJson } from '#streams/entry.ts';
import { hostPresenceSchema, type HostPresence } from '#streams/host-views.ts';

export interface HostPresences {
  /** Keeps the view until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
  of(host: string): HostPresence | undefined;
}

/** Hosts that are alive, of one tenant and project; `prefix` is the key up to the name. */
export const createHostPresences = (kv: KeyValue, prefix: string): HostPresences => {
  const alive = new Map<string, HostPresence>();
  return {
    watch: async (signal) => {
      for await (const event of kv.watch({ keys: [`${prefix}*`], signal })) {
        if (event.kind === 'current') continue;
        const key = event.kind === 'put' ? event.entry.key : event.key;
        const parsed =
          event.kind === 'put' ? hostPresenceSchema.safeParse(parseJson(event.entry.value)) : undefined;
        if (parsed?.success === true) alive.set(key.slice(prefix.length), parsed.data);
        else alive.delete(key.slice(prefix.length));
      }
    },
    of: (host) => alive.get(host),
  };
};
