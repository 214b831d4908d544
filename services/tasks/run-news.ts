// What runs do, told to the tasks whose attempts they are: a claimed run starts its attempt, an ended one ends it. At least once in,
// exactly once out: ids follow from task and attempt. A run says at its creation which attempt it is; runs that are none are passed over.
import { ok, type Handled } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { RecentMap } from '#libs/kernel/recent-map.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import type { RunCreated, RunEvent } from '#streams/run.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { TaskCommand } from '#streams/task.ts';
import { endOfAttempt } from './attempt-end.policy.ts';
import type { TaskLog } from './task-log.ts';
import type { TaskState } from './task-state.policy.ts';

/** News of a run. */
export interface RunNews {
  readonly boundary: Boundary;
  readonly subject: string;
  readonly event: RunEvent;
  readonly actor: string;
  readonly causation: string;
}

const unreadable = (message: string): Fault => new Fault({ code: 'RUN_UNREADABLE', retry: 'never', message });

/** The news of an entry; undefined for a transition that no task is told of. Throws `RUN_UNREADABLE` (never). */
export const decodeRunNews = (entry: StoredEntry): RunNews | undefined => {
  const reading = decodeRunEvent(entry);
  if (reading.kind === 'problem') throw unreadable(reading.problem);
  if (reading.kind === 'unknown') return undefined;
  const { event, envelope, place } = reading;
  const { type } = event;
  const isTold =
    type === 'fleetlog.run.created.v1' ||
    type === 'fleetlog.run.claimed.v1' ||
    endOfAttempt(event) !== undefined;
  if (!isTold) return undefined;
  const boundary = { tenant: place.tenant, project: place.project };
  return { boundary, subject: entry.subject, event, actor: envelope.actor, causation: envelope.id };
};

type Link = RunCreated['task'];

/** Runs whose task is kept in mind. */
const MOST_LINKS = 10_000;

const commandOf = (
  event: RunEvent,
  { attempt, runId }: { readonly attempt: number; readonly runId: string },
): TaskCommand | undefined => {
  if (event.type === 'fleetlog.run.claimed.v1')
    return { kind: 'start', attempt, runId, startedAt: event.claimedAt };
  const end = endOfAttempt(event);
  return end === undefined ? undefined : { kind: 'end', attempt, runId, end };
};

/** Whether the task, as far as it is known, waits for the start of that attempt. */
const lacksStart = (task: TaskState, attempt: number): boolean =>
  task?.state === 'assigned' && task.attempts.length === attempt;

interface RunNewsReader {
  /** As {@link decodeRunNews}; of a creation nobody is told: which attempt the run is, if any, is kept in mind for what comes next. */
  decode(entry: StoredEntry): RunNews | undefined;
  handle(news: RunNews): Promise<Handled>;
}

export const createRunNews = ({
  taskLog,
  log,
}: {
  readonly taskLog: TaskLog;
  /** The log of TRANSITIONS. */
  readonly log: EventLog;
}): RunNewsReader => {
  const links = new RecentMap<Link>();

  const remember = (subject: string, link: Link): Link => {
    links.set(subject, link);
    links.trim(MOST_LINKS);
    return link;
  };

  /** The attempt that the run is, from memory or from its first transition. */
  const linkOf = async (subject: string): Promise<Link> => {
    if (links.has(subject)) return links.peek(subject);
    for await (const entry of log.read(subject)) {
      const reading = decodeRunEvent(entry);
      if (reading.kind === 'known' && reading.event.type === 'fleetlog.run.created.v1')
        return remember(subject, reading.event.task);
      break;
    }
    throw unreadable(`${subject} does not begin with the creation of a run`);
  };

  /** Tells the task of the attempt that the run is; a run that is none is nobody's news. */
  const tell = async ({ boundary, subject, event, actor, causation }: RunNews): Promise<Handled> => {
    const link = await linkOf(subject);
    if (link === undefined) return ok;
    const { taskId, attempt } = link;
    const command = commandOf(event, { attempt, runId: event.runId });
    if (command === undefined) return ok;
    const target = { boundary, taskId, actor, causation };
    if (command.kind === 'end') {
      const { state } = taskLog.remembered(target) ?? (await taskLog.load(target));
      if (lacksStart(state, attempt)) await tellStart(subject);
    }
    return taskLog.handle(target, command, { id: `${taskId}.${command.kind}.${attempt}` });
  };

  /** Two instances may each have news of one run in hand: its claim is told before its end, under the id that it has in any case. */
  const tellStart = async (subject: string): Promise<void> => {
    for await (const entry of log.read(subject)) {
      const news = decodeRunNews(entry);
      if (news?.event.type === 'fleetlog.run.claimed.v1') return void (await tell(news));
    }
  };

  return {
    decode: (entry) => {
      const news = decodeRunNews(entry);
      if (news?.event.type !== 'fleetlog.run.created.v1') return news;
      remember(news.subject, news.event.task);
      return undefined;
    },
    handle: tell,
  };
};
