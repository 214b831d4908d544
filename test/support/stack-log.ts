// What the streams and buckets of a running stack really hold, read with the credentials that the stack left for tools.
import { systemClock } from '#libs/system/clock.ts';
import type { EventLog, ReplayOptions, StoredEntry } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { connectTo, readersOf } from '#services/wire.ts';
import type { StackHome } from './stack.ts';

export interface StackLog extends AsyncDisposable {
  log(stream: string): EventLog;
  bucket(name: string): KeyValue;
  /** Everything that a stream holds now. */
  entries(stream: string, options?: ReplayOptions): Promise<readonly StoredEntry[]>;
  /** Last sequences of the streams that requests end in. */
  lastSeqs(): Promise<readonly number[]>;
}

const WRITTEN = ['TRANSITIONS', 'EVENTS', 'COMMANDS', 'DEADLETTERS'];

/** Connects; dispose of it. */
export const stackLog = async (home: Pick<StackHome, 'connection'>): Promise<StackLog> => {
  const { natsUrl, natsUser, natsPassword } = home.connection();
  const handle = await connectTo(
    { servers: [natsUrl], user: natsUser, password: natsPassword, name: 'test', waitMs: 5000 },
    systemClock,
  );
  const readers = readersOf(handle);
  return {
    ...readers,
    entries: async (stream, options = {}) => {
      const entries: StoredEntry[] = [];
      for await (const entry of readers.log(stream).replay(options)) entries.push(entry);
      return entries;
    },
    lastSeqs: () => Promise.all(WRITTEN.map(async (stream) => (await readers.log(stream).bounds()).lastSeq)),
    [Symbol.asyncDispose]: () => handle.close(),
  };
};
