// Which streams and filters a tail or a replay reads, from what a person asked for. Pure.
import { Fault } from '#libs/kernel/fault.ts';
import { streamDefinitions } from '#streams/streams.ts';
import { aggregateFilter, typedFilter } from '#streams/subjects.ts';

export interface StreamQuestion {
  readonly stream?: readonly string[] | undefined;
  readonly subject?: readonly string[] | undefined;
  readonly agent?: string | undefined;
  readonly run?: string | undefined;
}

export interface StreamChoice {
  readonly stream: string;
  /** Empty: all. */
  readonly subjects: readonly string[];
}

const DEFINITIONS = streamDefinitions(1);
const NAMES = DEFINITIONS.map((definition) => definition.name);
/** Shown when nothing else is asked for: all but the schedules. */
const DEFAULT_STREAMS = NAMES.filter((name) => name !== 'TIMERS');

/** True when some subject can match both filters (`*` and `>` as the broker has them). */
export const filtersOverlap = (left: string, right: string): boolean => {
  const a = left.split('.');
  const b = right.split('.');
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const x = a[i];
    const y = b[i];
    if (x === undefined || y === undefined) return false;
    if (x === '>' || y === '>') return true;
    if (x !== y && x !== '*' && y !== '*') return false;
  }
  return true;
};

const streamsOf = (filter: string): readonly string[] =>
  DEFINITIONS.filter((definition) =>
    definition.subjects.some((subject) => filtersOverlap(subject, filter)),
  ).map((definition) => definition.name);

const filtersOf = (question: StreamQuestion): readonly string[] => {
  const filters = [...(question.subject ?? [])];
  if (question.agent !== undefined)
    for (const family of ['evt', 'cmd', 'msg'] as const)
      filters.push(typedFilter(family, { id: question.agent }));
  if (question.run !== undefined) filters.push(aggregateFilter('run', { id: question.run }));
  return filters;
};

/** The streams to read with their filters. Fault: `ARGUMENT_INVALID` (never): unknown stream, or a filter that no stream has. */
export const chooseStreams = (question: StreamQuestion): readonly StreamChoice[] => {
  const invalid = (message: string): Fault =>
    new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message });
  const asked = question.stream?.map((name) => name.toUpperCase());
  for (const name of asked ?? [])
    if (!NAMES.includes(name))
      throw invalid(`--stream ${name}: there is no such stream; there are ${NAMES.join(', ')}`);
  const filters = filtersOf(question);
  if (filters.length === 0) return (asked ?? DEFAULT_STREAMS).map((stream) => ({ stream, subjects: [] }));
  const byStream = new Map<string, string[]>();
  for (const filter of filters) {
    const streams = streamsOf(filter).filter((name) => asked === undefined || asked.includes(name));
    if (streams.length === 0)
      throw invalid(`--subject ${filter}: no stream has such subjects; see streams/README.md`);
    for (const stream of streams) byStream.set(stream, [...(byStream.get(stream) ?? []), filter]);
  }
  return [...byStream].map(([stream, subjects]) => ({ stream, subjects }));
};
