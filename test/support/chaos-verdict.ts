// What must be true of the streams and buckets when a chaos is over, whatever happened: read raw, judged law by law. Each breach is a
// sentence; none is right.
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readersOf } from '#services/wire.ts';
import { projections } from '#services/projections.ts';
import { readEntry } from '#streams/catalogue.ts';
import { isEnded } from '#services/runs/run-state.policy.ts';
import type { RunEvent } from '#streams/run.ts';
import { brokenChains, storedMessages } from './stored-messages.ts';
import type { Acknowledged } from './chaos-client.ts';

const STREAMS = ['TRANSITIONS', 'EVENTS', 'COMMANDS', 'DEADLETTERS'] as const;

export interface ChaosVerdict {
  readonly breaches: readonly string[];
  readonly figures: Readonly<Record<string, number>>;
}

type Entries = Readonly<Record<(typeof STREAMS)[number], readonly StoredEntry[]>>;

const readAll = async (connection: NatsConnectionHandle): Promise<Entries> => {
  const readers = readersOf(connection);
  const all: Record<(typeof STREAMS)[number], StoredEntry[]> = {
    TRANSITIONS: [],
    EVENTS: [],
    COMMANDS: [],
    DEADLETTERS: [],
  };
  for (const stream of STREAMS)
    for await (const entry of readers.log(stream).replay()) all[stream].push(entry);
  return all;
};

const historiesOf = (entries: readonly StoredEntry[]): ReadonlyMap<string, readonly RunEvent[]> => {
  const histories = new Map<string, RunEvent[]>();
  for (const entry of entries) {
    const reading = readEntry(entry);
    // Sessions are opened beside their runs.
    if (reading.kind === 'session') continue;
    if (reading.kind !== 'run') throw new Error(`TRANSITIONS ${entry.seq}: ${JSON.stringify(reading)}`);
    const { runId } = reading.data;
    histories.set(runId, [...(histories.get(runId) ?? []), reading.data]);
  }
  return histories;
};

/** Whether the event ends its run. */
const ends = (event: RunEvent): boolean =>
  event.type === 'fleetlog.run.lease-expired.v1'
    ? isEnded(event.next)
    : event.type === 'fleetlog.run.completed.v1' ||
      event.type === 'fleetlog.run.failed.v1' ||
      event.type === 'fleetlog.run.cancelled.v1';

/** Each run: created once and first, ended once and last, claimed under fences 1, 2, 3 …. */
const judgeRun = (runId: string, events: readonly RunEvent[]): string[] => {
  const short = events.map(({ type }) => type.split('.')[2]).join(' ');
  const breaches: string[] = [];
  const created = events.filter(({ type }) => type === 'fleetlog.run.created.v1').length;
  if (created !== 1 || events[0]?.type !== 'fleetlog.run.created.v1')
    breaches.push(`${runId} was created ${created} times: ${short}`);
  const ended = events.filter(ends).length;
  const last = events.at(-1);
  if (ended !== 1 || last === undefined || !ends(last))
    breaches.push(`${runId} ended ${ended} times: ${short}`);
  const fences = events.flatMap((event) => (event.type === 'fleetlog.run.claimed.v1' ? [event.fence] : []));
  if (fences.some((fence, at) => fence !== at + 1)) breaches.push(`${runId} has fences ${fences.join(' ')}`);
  return breaches;
};

const judgeIds = (entries: Entries): string[] =>
  STREAMS.flatMap((stream) => {
    const seen = new Map<string, number>();
    return entries[stream].flatMap(({ headers, seq }) => {
      const id = headers['Nats-Msg-Id'] ?? '';
      const before = seen.get(id);
      seen.set(id, seq);
      return before === undefined ? [] : [`${stream} has ${id} at ${before} and ${seq}`];
    });
  });

/** Each runner's reports are numbered from 1 without a gap, in order. */
const judgeNumbers = (reports: readonly StoredEntry[]): string[] => {
  const last = new Map<string, number>();
  return reports.flatMap(({ headers, seq }) => {
    const source = headers['ce-source'] ?? '';
    const number = headers['Fleet-Source-Seq'];
    if (number === undefined) return [];
    const expected = (last.get(source) ?? 0) + 1;
    last.set(source, Number(number));
    return Number(number) === expected
      ? []
      : [`EVENTS ${seq}: ${source} says ${number} after ${expected - 1}`];
  });
};

/** Some buckets are stored once a second. */
const CAUGHT_UP_MS = 10_000;
const MOST_BEHIND = 10_000;

const judgeProjections = async (connection: NatsConnectionHandle): Promise<string[]> => {
  const readers = readersOf(connection);
  const found: string[] = [];
  for (const projection of projections) {
    const result = await projection.verify(readers, new AbortController().signal);
    if (!result.equal) found.push(`projection ${projection.name} differs: ${JSON.stringify(result)}`);
    const deadline = systemClock.monotonicMs() + CAUGHT_UP_MS;
    let behind = await projection.behind(readers, MOST_BEHIND);
    for (
      ;
      behind > 0 && systemClock.monotonicMs() < deadline;
      behind = await projection.behind(readers, MOST_BEHIND)
    )
      await systemClock.sleep(100);
    if (behind > 0) found.push(`projection ${projection.name} is ${behind} behind`);
  }
  return found;
};

/** Claims that were given up although a result of theirs was in the log already: work that is done twice for nothing. */
const doneAndExpired = (entries: Entries): string[] => {
  const finishedAt = new Map<string, number>();
  for (const entry of entries.EVENTS) {
    const reading = readEntry(entry);
    if (reading.kind !== 'report' || reading.name !== 'turn-finished') continue;
    // A runner that says that it lost its turn is taken at its word.
    if (reading.data.result.failure?.kind !== 'runner-lost')
      finishedAt.set(`${reading.data.runId} ${reading.envelope.fence}`, entry.storedAt);
  }
  return entries.TRANSITIONS.flatMap((entry) => {
    const reading = readEntry(entry);
    if (reading.kind !== 'run' || reading.data.type !== 'fleetlog.run.lease-expired.v1') return [];
    const at = finishedAt.get(`${reading.data.runId} ${reading.data.fence}`);
    return at !== undefined && at < entry.storedAt
      ? [
          `${reading.data.runId} fence ${reading.data.fence}: result ${entry.storedAt - at} ms before its expiry`,
        ]
      : [];
  });
};

/** Judges everything; `acknowledged` are the runs that somebody was promised. */
export const judgeChaos = async (
  connection: NatsConnectionHandle,
  acknowledged: readonly Acknowledged[],
): Promise<ChaosVerdict> => {
  const entries = await readAll(connection);
  const histories = historiesOf(entries.TRANSITIONS);
  const promised = acknowledged.flatMap(({ runId, seq, key }) => {
    const created = entries.TRANSITIONS[seq - 1];
    const isThere = created?.seq === seq && created.subject.endsWith(`.${runId}`) && histories.has(runId);
    return isThere ? [] : [`${key}: ${runId} was acknowledged at ${seq} and is not there`];
  });
  const raw = await storedMessages(connection, 'TRANSITIONS', entries.TRANSITIONS.length);
  const events = [...histories.values()].flat();
  const count = (type: string): number =>
    events.filter((event) => event.type === `fleetlog.run.${type}.v1`).length;
  return {
    breaches: [
      ...promised,
      ...(histories.size === acknowledged.length
        ? []
        : [`${histories.size} runs for ${acknowledged.length} promises`]),
      ...[...histories].flatMap(([runId, history]) => judgeRun(runId, history)),
      ...judgeIds(entries),
      ...judgeNumbers(entries.EVENTS),
      ...entries.EVENTS.flatMap(({ subject, seq, body }) =>
        subject.endsWith('.source-alarm')
          ? [`EVENTS ${seq}: ${subject} ${Buffer.from(body).toString()}`]
          : [],
      ),
      ...brokenChains(raw).map(({ seq, subject }) => `TRANSITIONS ${seq} does not follow on ${subject}`),
      ...(await judgeProjections(connection)),
      ...entries.DEADLETTERS.map(
        (letter) => `parked: ${letter.subject} ${Buffer.from(letter.body).toString().slice(0, 300)}`,
      ),
    ],
    figures: {
      runs: histories.size,
      transitions: entries.TRANSITIONS.length,
      reports: entries.EVENTS.length,
      commands: entries.COMMANDS.length,
      claims: count('claimed'),
      leasesLost: count('lease-expired'),
      completed: count('completed'),
      failed: count('failed'),
      cancelled: count('cancelled'),
      doneAndExpired: doneAndExpired(entries).length,
      refusedReports: entries.EVENTS.filter(({ subject }) => subject.endsWith('.report-refused')).length,
    },
  };
};
