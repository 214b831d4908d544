// fleetlog task queues: how many tasks in which state and lane, which goes next, and why the first ones wait.
// fleetlog task order: who waits at which place, and each change of it as it happens.
import { isoTime } from '#libs/telemetry/iso-time.ts';
import { z } from 'zod';
import { createClient } from '#services/client/client.ts';
import { LIVE_API } from '#streams/http/live.ts';
import { invocation, type Invocation, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { table } from './output.ts';

const queuesSchema = z.object({
  queues: z.array(
    z.object({
      queue: z.string(),
      total: z.number(),
      states: z.record(z.string(), z.number()),
      lanes: z.record(z.string(), z.number()),
      maxSeq: z.number(),
      next: z.array(z.string()),
    }),
  ),
  /** Why the first tasks wait; an older gateway does not say. */
  waiting: z
    .array(
      z.object({
        queue: z.string(),
        lane: z.string(),
        provider: z.string(),
        agent: z.string().nullable(),
        labels: z.array(z.string()),
        waiting: z.number(),
        taskId: z.string(),
        reason: z.string(),
        because: z.string(),
        untilMs: z.number().nullable(),
      }),
    )
    .default([]),
  waitingProblem: z.string().nullable().default(null),
  generatedAt: z.number(),
});
type WaitingLine = z.infer<typeof queuesSchema>['waiting'][number];

const countsText = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

/** What a line of tasks asks for, as far as it is not the usual. */
const demandText = ({ lane, provider, agent, labels }: WaitingLine): string =>
  [lane, provider, ...(agent === null ? [] : [`only ${agent}`]), ...labels].join(' ');

const orderSchema = LIVE_API.streamOrder.answer;

const untilText = (untilMs: number | null): string => (untilMs === null ? '' : `, until ${isoTime(untilMs)}`);

type Asked = Pick<WaitingLine, 'queue' | 'lane' | 'provider' | 'agent' | 'labels' | 'taskId'>;

const asksTheSame = (line: WaitingLine, asked: Asked): boolean =>
  line.lane === asked.lane &&
  line.provider === asked.provider &&
  line.agent === asked.agent &&
  line.labels.toSorted().join(' ') === asked.labels.toSorted().join(' ');

/** Why a pending task waits, in words; undefined: nobody can say now. Never throws for that: the task itself has been shown. */
export const whyItWaits = async (
  { api }: Pick<Invocation, 'api'>,
  asked: Asked,
): Promise<string | undefined> => {
  try {
    const path = `/api/v1/queues?queue=${encodeURIComponent(asked.queue)}`;
    const { waiting } = await api.call({ path }, queuesSchema);
    const line = waiting.find((one) => asksTheSame(one, asked));
    if (line === undefined) return undefined;
    const why = `${line.reason}: ${line.because}${untilText(line.untilMs)}`;
    return line.taskId === asked.taskId ? why : `behind ${line.taskId}, which waits for ${why}`;
  } catch {
    return undefined;
  }
};

/** Counts by queue, and of each line of waiting tasks the first and why it waits. */
export const showQueues = async (
  context: CliContext,
  flags: StackFlags & { readonly queue?: string },
): Promise<void> => {
  const call = await invocation(context, flags);
  const query = flags.queue === undefined ? '' : `?queue=${encodeURIComponent(flags.queue)}`;
  const page = await call.api.call({ path: `/api/v1/queues${query}` }, queuesSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(page));
  const rows = page.queues.map(({ queue, total, states, lanes, next }) => [
    queue,
    String(total),
    countsText(states),
    countsText(lanes),
    next[0] ?? '',
  ]);
  context.terminal.out(table(['QUEUE', 'TASKS', 'STATES', 'LANES', 'NEXT'], rows));
  if (page.waitingProblem !== null) context.terminal.note(page.waitingProblem);
  if (page.waiting.length === 0) return;
  const why = page.waiting.map((line) => [
    line.queue,
    demandText(line),
    String(line.waiting),
    line.taskId,
    `${line.reason}: ${line.because}${untilText(line.untilMs)}`,
  ]);
  context.terminal.out('');
  context.terminal.out(table(['QUEUE', 'ASKS FOR', 'WAITING', 'FIRST', 'WHY IT WAITS'], why));
};

const placeText = (place: number | null): string => (place === null ? '–' : String(place));

/** The order of a queue, and each change of it, until the signal aborts. Faults: the gateway's refusal, `API_UNREACHABLE` (later). */
export const followOrder = async (
  context: CliContext,
  queue: string,
  flags: StackFlags & { readonly limit?: string },
): Promise<void> => {
  const call = await invocation(context, flags);
  const { apiUrl: url, apiToken: token } = call.connection;
  const client = createClient({ url, token, clock: context.clock });
  const query = flags.limit === undefined ? {} : { query: { limit: flags.limit } };
  const { signal } = context;
  for await (const { data, text } of client.stream('streamOrder', { path: { queue }, ...query, signal })) {
    if (call.isJson) context.terminal.out(text);
    else {
      const { changes } = orderSchema.parse(data);
      for (const { taskId, from, to } of changes)
        context.terminal.out(`${taskId}  ${placeText(from)} → ${placeText(to)}`);
    }
    await context.terminal.flushed();
  }
};
