// Pipelined publishing: our publisher against a bare ring of reply subjects, with the same headers, ids and bodies.
import { headers, type MsgHdrs } from '@nats-io/transport-node';
import { createPublisher } from '#libs/nats/publisher.ts';
import type { NewEntry } from '#libs/ports/event-log.ts';
import type { Publisher } from '#libs/ports/publisher.ts';
import { bareHeaders, createRing, type Ring } from './bare-publish.ts';
import { openBenchWorld, type Bench } from './bench-world.ts';
import { fromPairs, type Target } from './figure.ts';
import { interleave, rate } from './measure.ts';
import { sampleReports } from './sample-entries.ts';

const WINDOW = 512;
const COUNT = { relaxed: 20_000, always: 2000 };
const TARGET: Target = { of: 'ratio', is: '>=', limit: 0.85 };

const publishAll = async (publisher: Publisher, entries: readonly NewEntry[]): Promise<void> => {
  let stored = 0;
  for (const entry of entries) {
    const { outcome } = await publisher.publish(entry);
    void outcome.then(({ kind }) => (stored += kind === 'stored' ? 1 : 0));
  }
  await publisher.drained();
  if (stored !== entries.length) throw new Error(`${stored} of ${entries.length} entries were stored`);
};

const tryPublishAll = async (publisher: Publisher, entries: readonly NewEntry[]): Promise<void> => {
  let stored = 0;
  for (const entry of entries)
    while (!publisher.tryPublish(entry, ({ kind }) => (stored += kind === 'stored' ? 1 : 0)))
      await publisher.room();
  await publisher.drained();
  if (stored !== entries.length) throw new Error(`${stored} of ${entries.length} entries were stored`);
};

type MakeHeaders = (entry: NewEntry) => MsgHdrs;

const ringAll = async (ring: Ring, entries: readonly NewEntry[], toHeaders: MakeHeaders): Promise<void> => {
  let stored = 0;
  for (const entry of entries) {
    const message = { subject: entry.subject, body: entry.body, headers: toHeaders(entry) };
    while (!ring.tryPublish(message, () => (stored += 1))) await ring.room();
  }
  await ring.drained();
  if (stored !== entries.length) throw new Error(`${stored} of ${entries.length} entries were stored`);
};

/** Not what anybody would write with the client: header bytes put together by hand, which it is made to take. */
const handmadeHeaders: MakeHeaders = (entry) => {
  let text = `NATS/1.0\r\nNats-Msg-Id: ${entry.id}\r\n`;
  for (const name in entry.headers) text += `${name}: ${entry.headers[name]}\r\n`;
  const bytes = Buffer.from(`${text}\r\n`);
  const made = headers();
  return Object.assign(made, { encode: () => bytes });
};

export const publisherBench: Bench = {
  name: 'publisher',
  run: async ({ profile, rounds, emit }) => {
    await using world = await openBenchWorld(profile);
    const count = COUNT[profile];
    const publisher = createPublisher(world.ours, { window: WINDOW });
    const ring = createRing(world.bare, WINDOW);
    const compare = async (
      figure: string,
      target: Target | null,
      sides: { readonly ours: typeof publishAll; readonly toHeaders: MakeHeaders },
    ): Promise<void> => {
      const pairs = await interleave(
        rounds,
        async () => {
          const entries = sampleReports(count);
          return rate(count, () => sides.ours(publisher, entries));
        },
        async () => {
          const entries = sampleReports(count);
          return rate(count, () => ringAll(ring, entries, sides.toHeaders));
        },
      );
      emit(fromPairs({ bench: 'publisher', figure, unit: 'entries/s', target, profile }, pairs));
    };
    await compare('publish()', TARGET, { ours: publishAll, toHeaders: bareHeaders });
    await compare('tryPublish()', TARGET, { ours: tryPublishAll, toHeaders: bareHeaders });
    await compare('tryPublish(), handmade floor', null, {
      ours: tryPublishAll,
      toHeaders: handmadeHeaders,
    });
  },
};
