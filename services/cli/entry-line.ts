// How one stored entry looks: a line for people, an object for programs. Pure; shared by tail, replay, run watch and start.
import { readEntry } from '#streams/catalogue.ts';
import type { EntryLike } from '#streams/entry.ts';

/** An entry together with where it stands. */
export interface PlacedEntry extends EntryLike {
  readonly stream: string;
  readonly seq: number;
  readonly storedAt: number;
}

const isoTime = (ms: number): string => {
  const day = Math.floor(ms / 86_400_000);
  const clock = ms - day * 86_400_000;
  const part = (unit: number, size: number): string =>
    String(Math.floor(clock / unit) % size).padStart(2, '0');
  return `${part(3_600_000, 24)}:${part(60_000, 60)}:${part(1000, 60)}.${String(Math.floor(clock % 1000)).padStart(3, '0')}`;
};

const short = (text: string, limit: number): string => {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length > limit ? `${line.slice(0, limit - 1)}…` : line;
};

const field = (data: object, name: string): string | undefined => {
  const value = (data as Record<string, unknown>)[name];
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
};

/** Fields worth showing first, in this order, whatever the event. */
const TELLING = [
  'text',
  'name',
  'path',
  'change',
  'title',
  'runnerId',
  'fence',
  'reason',
  'next',
  'code',
  'line',
  'output',
  'input',
  'failure',
];

const gistOf = (data: unknown): string => {
  if (typeof data !== 'object' || data === null) return '';
  const result = (data as Record<string, unknown>)['result'];
  if (typeof result === 'object' && result !== null)
    return [field(result, 'outcome'), field(result, 'summary'), field(result, 'failure')]
      .filter((part) => part !== undefined)
      .join(' · ');
  return TELLING.flatMap((name) => {
    const value = field(data, name);
    return value === undefined || value === '' ? [] : [name === 'fence' ? `fence ${value}` : value];
  }).join(' · ');
};

/** `07:31:22.104 EVENTS 42  builder-1  turn.text  hello`: at most `width` characters, on one line. */
export const entryLine = (entry: PlacedEntry, width = 160): string => {
  const reading = readEntry(entry);
  const head = `${isoTime(entry.storedAt)} ${entry.stream.padEnd(11)} ${String(entry.seq).padStart(6)}`;
  if (reading.kind === 'problem')
    return short(`${head}  unreadable: ${reading.problem} (${entry.subject})`, width);
  const type = reading.type.replace(/^fleetlog\./, '').replace(/\.v\d+$/, '');
  return short(
    `${head}  ${reading.envelope.subject.slice(0, 30).padEnd(30)} ${type.padEnd(20)} `,
    width,
  ).concat(' ', short(gistOf(reading.data), Math.max(20, width - 90)));
};

/** The whole entry as an object: place, envelope headers, and the body as JSON (base64 where it is not JSON). */
export const entryObject = (entry: PlacedEntry): Record<string, unknown> => {
  const reading = readEntry(entry);
  return {
    stream: entry.stream,
    seq: entry.seq,
    subject: entry.subject,
    storedAt: entry.storedAt,
    headers: entry.headers,
    ...bodyOf(entry.body),
    ...(reading.kind === 'problem' && { problem: reading.problem }),
  };
};

const bodyOf = (body: Uint8Array): Record<string, unknown> => {
  const bytes = Buffer.from(body);
  try {
    return { data: JSON.parse(bytes.toString('utf8')) as unknown };
  } catch {
    return { dataBase64: bytes.toString('base64') };
  }
};
