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
  return `${part(3_600_000, 24)}:${part(60_000, 60)}:${part(1000, 60)}.${String(Math.floor(clock % 1000)).padStart(3, '0')}Z`;
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
  'from',
  'subject',
  'body',
  'replyId',
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
  const telling = TELLING.flatMap((name) => {
    const value = field(data, name);
    return value === undefined || value === '' ? [] : [name === 'fence' ? `fence ${value}` : value];
  }).join(' · ');
  return telling === '' ? innerGistOf(data) : telling;
};

/** Of what a run asks for when it has no title, and of what a turn has used. */
const innerGistOf = (data: object): string => {
  const { request, usage } = data as { readonly request?: unknown; readonly usage?: unknown };
  if (typeof request === 'object' && request !== null) return field(request, 'prompt') ?? '';
  if (typeof usage !== 'object' || usage === null) return '';
  return Object.entries(usage)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(' · ');
};

/** What a line is made of, wherever it came from: a stream or the gateway's feed. */
export interface ShownEntry {
  readonly stream: string;
  readonly seq: number;
  readonly storedAt: number;
  /** Agent, run or service. */
  readonly about: string;
  /** `ce-type`. */
  readonly type: string;
  readonly data: unknown;
}

/** `07:31:22.104 EVENTS 42  builder-1  turn.text  hello`: about `width` characters, on one line. */
export const shownLine = ({ stream, seq, storedAt, about, type, data }: ShownEntry, width = 170): string => {
  const name = type.replace(/^fleetlog\./, '').replace(/\.v\d+$/, '');
  const head = `${isoTime(storedAt)} ${stream.padEnd(11)} ${String(seq).padStart(6)}  ${about.slice(0, 30).padEnd(30)} ${name.padEnd(22)}`;
  return `${head} ${short(gistOf(data), Math.max(30, width - head.length))}`.trimEnd();
};

/** The line of a stored entry. */
export const entryLine = (entry: PlacedEntry): string => {
  const reading = readEntry(entry);
  const { stream, seq, storedAt } = entry;
  if (reading.kind === 'problem')
    return `${isoTime(storedAt)} ${stream.padEnd(11)} ${String(seq).padStart(6)}  unreadable: ${short(reading.problem, 200)} (${entry.subject})`;
  return shownLine({
    stream,
    seq,
    storedAt,
    about: reading.envelope.subject,
    type: reading.type,
    data: reading.data,
  });
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
