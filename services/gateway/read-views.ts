// What the gateway shows without asking anybody: the buckets of one tenant and project in memory, with the orders in which they are listed,
// and the runners that are alive. Eventually consistent; a reader that needs its own write names the sequence it got for it.
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { POSITION_KEY } from '#libs/projections/position.ts';
import { createReadView, type ReadView } from '#libs/projections/read-view.ts';
import type { z } from 'zod';
import {
  activityViewSchema,
  approvalsViewSchema,
  presenceSchema,
  runViewSchema,
  viewKey,
  type ActivityView,
  type ApprovalsView,
  type Presence,
  type RunView,
} from '#streams/buckets.ts';
import {
  messageViewSchema,
  obligationsSchema,
  type MessageView,
  type ObligationsView,
} from '#streams/mail-views.ts';
import { hostViewSchema, type HostView } from '#streams/host-views.ts';
import { parseJson } from '#streams/entry.ts';
import {
  managedAgentSchema,
  policyViewSchema,
  type ManagedAgentView,
  type PolicyView,
} from '#streams/policy-views.ts';
import { cursorSchema, sessionViewSchema, type ReadCursor, type SessionView } from '#streams/session-view.ts';
import { sourceViewSchema, type SourceView } from '#streams/source-view.ts';
import type { Boundary } from '#streams/subjects.ts';
import { taskViewSchema, type TaskView } from '#streams/task-view.ts';
import { ApprovalIndex, approvalRowsOf, type ApprovalRows } from './approval-index.ts';
import { CURSOR_ROW_FIELDS, cursorRowOf, type CursorRow } from './attention.ts';
import { MessageIndex, messageRowOf, MESSAGE_ROW_FIELDS, type MessageRow } from './message-index.ts';
import { RunIndex, runRowOf, RUN_ROW_FIELDS, type RunRow } from './run-index.ts';
import { SessionIndex } from './session-index.ts';
import { sessionRowOf, SESSION_ROW_FIELDS, type SessionRow } from './session-row.ts';
import { TaskIndex, taskRowOf, TASK_ROW_FIELDS, type TaskRow } from './task-index.ts';

export interface ReadViews {
  readonly runs: ReadView<Omit<RunView, 'seq'>, RunRow>;
  readonly sessions: ReadView<Omit<SessionView, 'seq'>, SessionRow>;
  readonly activity: ReadView<Omit<ActivityView, 'seq'>>;
  readonly sources: ReadView<Omit<SourceView, 'seq'>>;
  readonly approvals: ReadView<Omit<ApprovalsView, 'seq'>, ApprovalRows>;
  readonly tasks: ReadView<Omit<TaskView, 'seq'>, TaskRow>;
  readonly messages: ReadView<Omit<MessageView, 'seq'>, MessageRow>;
  readonly obligations: ReadView<Omit<ObligationsView, 'seq'>>;
  readonly policies: ReadView<Omit<PolicyView, 'seq'>>;
  readonly managedAgents: ReadView<Omit<ManagedAgentView, 'seq'>>;
  readonly cursors: ReadView<Omit<ReadCursor, 'seq'>, CursorRow>;
  readonly hosts: ReadView<Omit<HostView, 'seq'>>;
  readonly indexes: Indexes;
  readonly runners: PresenceView;
  /** Resolves when all of them show what was there at the start. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

interface PresenceView {
  /** Keeps the view until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
  /** Runners alive, by key. */
  list(): readonly (readonly [string, Presence])[];
}

const createPresenceView = (kv: KeyValue): PresenceView => {
  const alive = new Map<string, Presence>();
  return {
    watch: async (signal) => {
      for await (const event of kv.watch({ signal })) {
        if (event.kind === 'current') continue;
        const key = event.kind === 'put' ? event.entry.key : event.key;
        const parsed =
          event.kind === 'put' ? presenceSchema.safeParse(parseJson(event.entry.value)) : undefined;
        if (parsed?.success === true) alive.set(key, parsed.data);
        else alive.delete(key);
      }
    },
    list: () => [...alive],
  };
};

interface Parts {
  readonly bucket: (name: string) => KeyValue;
  readonly clock: Clock;
  /** Nothing of others is held. */
  readonly boundary: Boundary;
  /** Keys of each bucket held in memory at most. */
  readonly maxKeys: number;
  /** Messages held in memory: those that something happened to last. */
  readonly maxMessages: number;
  /** A watch has failed for good, or a view is too large to be held. */
  readonly onFatal: (error: unknown) => void;
  /** All of them are whole again. */
  readonly onRecovered: () => void;
  /** A value that cannot be read: it shows as absent. */
  readonly onInvalid: (key: string, error: unknown) => void;
}

interface Opening<State extends object, Row extends object> {
  readonly schema: z.ZodType<State> & { readonly shape: object };
  readonly rowOf?: (value: unknown, key: string) => Row;
  readonly rowFields?: readonly string[];
  readonly keepsLast?: number;
  readonly maxKeys?: number;
}

/** Cursors are a few per session and task, and small. */
const CURSORS_PER_KEY = 5;

/** Opens views that fail and recover as one. */
const createOpener = (parts: Parts) => {
  const failing = new Set<string>();
  return <State extends object, Row extends object = never>(
    name: string,
    { schema, maxKeys = parts.maxKeys, ...more }: Opening<State, Row>,
  ): ReadView<State, Row> =>
    createReadView<State, Row>({
      projection: { name, bucket: name, parse: (value) => schema.parse(value) },
      kv: parts.bucket(name),
      clock: parts.clock,
      keys: [`${viewKey(parts.boundary, '')}>`, POSITION_KEY],
      maxKeys,
      fields: ['seq', ...Object.keys(schema.shape)],
      ...more,
      onFatal: (error) => {
        failing.add(name);
        parts.onFatal(error);
      },
      onRecovered: () => {
        failing.delete(name);
        if (failing.size === 0) parts.onRecovered();
      },
      onInvalid: parts.onInvalid,
    });
};

type Views = Omit<ReadViews, 'indexes' | 'runners' | 'ready' | 'stop'>;

/** The orders of lists, beside their views. */
const indexesOf = (views: Views, boundary: Boundary) => {
  const { runs, sessions, approvals, tasks, messages, cursors } = views;
  const sessionIndex = new SessionIndex(sessions);
  const taskIndex = new TaskIndex(tasks);
  const move = (cursor: CursorRow, version: number): void => {
    const key = viewKey(boundary, cursor.id);
    if (cursor.kind === 'session') sessionIndex.noteCursor(cursor, version, sessions.row(key));
    else taskIndex.noteCursor(cursor, version, tasks.row(key));
  };
  cursors.follow((before, after) => {
    if (after !== undefined) move(after, after.version);
    else if (before !== undefined) move(before, 0);
  });
  return {
    runs: new RunIndex(runs),
    sessions: sessionIndex,
    approvals: new ApprovalIndex(approvals),
    tasks: taskIndex,
    messages: new MessageIndex(messages),
  };
};
type Indexes = ReturnType<typeof indexesOf>;

/** Everything has come and is in its place. */
const whenReady = async (
  views: readonly Pick<ReadView<object>, 'ready'>[],
  { runs, sessions, tasks, messages }: Indexes,
): Promise<void> => {
  await Promise.all(views.map(({ ready }) => ready));
  for (const index of [runs, sessions, tasks, messages]) index.sort();
};

/** Starts watching at once. */
export const createReadViews = (parts: Parts): ReadViews => {
  const { boundary, maxKeys, maxMessages } = parts;
  const open = createOpener(parts);
  const noSeq = { seq: true } as const;
  const views: Views = {
    runs: open('runs', { schema: runViewSchema.omit(noSeq), rowOf: runRowOf, rowFields: RUN_ROW_FIELDS }),
    sessions: open('sessions', {
      schema: sessionViewSchema.omit(noSeq),
      rowOf: sessionRowOf,
      rowFields: SESSION_ROW_FIELDS,
    }),
    activity: open('activity', { schema: activityViewSchema.omit(noSeq) }),
    hosts: open('hosts', { schema: hostViewSchema.omit(noSeq) }),
    sources: open('sources', { schema: sourceViewSchema.omit(noSeq) }),
    approvals: open('approvals', { schema: approvalsViewSchema.omit(noSeq), rowOf: approvalRowsOf }),
    tasks: open('tasks', {
      schema: taskViewSchema.omit(noSeq),
      rowOf: taskRowOf,
      rowFields: TASK_ROW_FIELDS,
    }),
    messages: open('messages', {
      schema: messageViewSchema.omit(noSeq),
      rowOf: messageRowOf,
      rowFields: MESSAGE_ROW_FIELDS,
      keepsLast: maxMessages,
    }),
    obligations: open('obligations', { schema: obligationsSchema.omit(noSeq) }),
    policies: open('policies', { schema: policyViewSchema.omit(noSeq) }),
    managedAgents: open('agents', { schema: managedAgentSchema.omit(noSeq) }),
    cursors: open('cursors', {
      schema: cursorSchema.omit(noSeq),
      rowOf: cursorRowOf,
      rowFields: CURSOR_ROW_FIELDS,
      maxKeys: maxKeys * CURSORS_PER_KEY,
    }),
  };
  const all = Object.values(views) as readonly Pick<ReadView<object>, 'ready' | 'stop'>[];
  const indexes = indexesOf(views, boundary);
  return {
    ...views,
    indexes,
    runners: createPresenceView(parts.bucket('presence')),
    ready: whenReady(all, indexes),
    stop: async () => {
      await Promise.all(all.map((one) => one.stop()));
    },
  };
};
