// What the gateway shows without asking anybody: the buckets of runs, sessions, approvals, tasks, mail and sources in memory, and the runners
// that are alive. Eventually consistent; a reader that needs its own write names the sequence it got for it.
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { createReadView, type ReadView } from '#libs/projections/read-view.ts';
import type { z } from 'zod';
import {
  activityViewSchema,
  approvalsViewSchema,
  presenceSchema,
  runViewSchema,
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
import { parseJson } from '#streams/entry.ts';
import {
  managedAgentSchema,
  policyViewSchema,
  type ManagedAgentView,
  type PolicyView,
} from '#streams/policy-views.ts';
import { sourceViewSchema, type SourceView } from '#streams/source-view.ts';
import { sessionViewSchema, type SessionView } from '#streams/session-view.ts';
import { taskViewSchema, type TaskView } from '#streams/task-view.ts';
import { createApprovalIndex, type ApprovalIndex } from './approval-index.ts';

export interface ReadViews {
  readonly runs: ReadView<Omit<RunView, 'seq'>>;
  readonly sessions: ReadView<Omit<SessionView, 'seq'>>;
  readonly activity: ReadView<Omit<ActivityView, 'seq'>>;
  readonly sources: ReadView<Omit<SourceView, 'seq'>>;
  readonly approvals: ReadView<Omit<ApprovalsView, 'seq'>>;
  readonly tasks: ReadView<Omit<TaskView, 'seq'>>;
  readonly messages: ReadView<Omit<MessageView, 'seq'>>;
  readonly obligations: ReadView<Omit<ObligationsView, 'seq'>>;
  readonly policies: ReadView<Omit<PolicyView, 'seq'>>;
  readonly managedAgents: ReadView<Omit<ManagedAgentView, 'seq'>>;
  readonly approvalIndex: ApprovalIndex;
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
  /** Runs, and sessions, held in memory at most. */
  readonly maxKeys: number;
  /** A watch has failed for good, or a view is too large to be held. */
  readonly onFatal: (error: unknown) => void;
  /** All of them are whole again. */
  readonly onRecovered: () => void;
  /** A value that cannot be read: it shows as absent. */
  readonly onInvalid: (key: string, error: unknown) => void;
}

/** Starts watching at once. */
export const createReadViews = (parts: Parts): ReadViews => {
  const failing = new Set<string>();
  const view = <State extends object>(name: string, schema: z.ZodType<State>): ReadView<State> =>
    createReadView({
      projection: { name, bucket: name, parse: (value) => schema.parse(value) },
      kv: parts.bucket(name),
      clock: parts.clock,
      maxKeys: parts.maxKeys,
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
  const runs = view('runs', runViewSchema.omit({ seq: true }));
  const sessions = view('sessions', sessionViewSchema.omit({ seq: true }));
  const activity = view('activity', activityViewSchema.omit({ seq: true }));
  const sources = view('sources', sourceViewSchema.omit({ seq: true }));
  const approvals = view('approvals', approvalsViewSchema.omit({ seq: true }));
  const tasks = view('tasks', taskViewSchema.omit({ seq: true }));
  const messages = view('messages', messageViewSchema.omit({ seq: true }));
  const obligations = view('obligations', obligationsSchema.omit({ seq: true }));
  const policies = view('policies', policyViewSchema.omit({ seq: true }));
  const managedAgents = view('agents', managedAgentSchema.omit({ seq: true }));
  const all = [
    runs,
    sessions,
    activity,
    sources,
    approvals,
    tasks,
    messages,
    obligations,
    policies,
    managedAgents,
  ];
  return {
    runs,
    sessions,
    activity,
    sources,
    approvals,
    tasks,
    messages,
    obligations,
    policies,
    managedAgents,
    approvalIndex: createApprovalIndex(approvals),
    runners: createPresenceView(parts.bucket('presence')),
    ready: Promise.all(all.map(({ ready }) => ready)).then(() => undefined),
    stop: async () => {
      await Promise.all(all.map((one) => one.stop()));
    },
  };
};
