// Several streams as one, for people: a finished replay merged by the time of storing.
// Order inside a stream is the stream's; order between streams is by clock and says nothing about cause.
import type { EventLog, ReplayOptions, StoredEntry } from '#libs/ports/event-log.ts';
import type { PlacedEntry } from './entry-line.ts';

/** What is read of a log here. */
export type Replayable = Pick<EventLog, 'stream' | 'replay'>;

const place = (stream: string, entry: StoredEntry): PlacedEntry => ({ ...entry, stream });

interface Head {
  readonly stream: string;
  readonly rest: AsyncIterator<StoredEntry>;
  readonly entry: StoredEntry;
}

/** Replays of all logs, merged by `storedAt` (ties: by stream name). Holds one entry of each stream in memory. */
export async function* mergedReplay(
  logs: readonly Replayable[],
  options: ReplayOptions,
): AsyncGenerator<PlacedEntry> {
  const heads: Head[] = [];
  const advance = async (stream: string, rest: AsyncIterator<StoredEntry>): Promise<void> => {
    const next = await rest.next();
    if (next.done !== true) heads.push({ stream, rest, entry: next.value });
  };
  for (const log of logs) await advance(log.stream, log.replay(options)[Symbol.asyncIterator]());
  try {
    while (heads.length > 0) {
      heads.sort((a, b) => a.entry.storedAt - b.entry.storedAt || a.stream.localeCompare(b.stream));
      const first = heads.shift();
      if (first === undefined) return;
      yield place(first.stream, first.entry);
      await advance(first.stream, first.rest);
    }
  } finally {
    for (const head of heads) await head.rest.return?.();
  }
}
