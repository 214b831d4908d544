// One example of every event of tasks and their admission, and of a task's summary, for the generated pages and the golden entries.
// Typed by the contract. Not used at run time.
import { ADMISSION_ID, type AdmissionEvent } from './admission.ts';
import type { DispatchRequestOf, DispatchResultOf } from './dispatch-requests.ts';
import { EXAMPLE, EXAMPLE_AT, EXAMPLE_REQUEST } from './generate-examples.ts';
import type { TaskOperation, TaskRequestOf, TaskResultOf } from './task-requests.ts';
import type { TaskEventType } from './task-codec.ts';
import type { TaskView } from './task-view.ts';
import type { TaskEvent, TaskOrder } from './task.ts';

const { boundary, agent, runId, sessionId } = EXAMPLE;
const AT = EXAMPLE_AT;
const SECOND = 1000;

/** The task of the examples. */
export const EXAMPLE_TASK_ID = 'tsk_01KAJ5M8D0T4S6K8A0C2E4G6J8';

const about = { taskId: EXAMPLE_TASK_ID, queue: 'fix' };
const attempt = { ...about, attempt: 1, runId };
const ended = { ...attempt, endedAt: AT + 16 * SECOND };
const failure = { kind: 'provider-failed', message: 'the program ended with exit code 2' } as const;

/** What is asked for. */
const EXAMPLE_ORDER: TaskOrder = {
  queue: 'fix',
  lane: 'fast',
  priority: 10,
  title: 'Cart rounding',
  provider: 'exec',
  agent: null,
  labels: ['gpu'],
  sessionId: null,
  request: EXAMPLE_REQUEST,
  replay: 'requeue',
  maxAttempts: 3,
  leaseMs: 30_000,
  references: ['https://issues.example/cart/42'],
  metadata: { area: 'cart' },
};

/** Every event of a task. */
export const TASK_EXAMPLES: { readonly [Type in TaskEventType]: Extract<TaskEvent, { type: Type }> } = {
  'fleetlog.task.created.v1': {
    type: 'fleetlog.task.created.v1',
    taskId: EXAMPLE_TASK_ID,
    ...EXAMPLE_ORDER,
    requestHash: '5d41402abc4b2a76b9719d911017c592ae2d8f1c7e3b604f9a85d7c6e1f20b3a',
    createdAt: AT,
  },
  'fleetlog.task.assigned.v1': {
    type: 'fleetlog.task.assigned.v1',
    ...attempt,
    sessionId,
    agent,
    assignedAt: AT + SECOND,
  },
  'fleetlog.task.started.v1': {
    type: 'fleetlog.task.started.v1',
    ...attempt,
    startedAt: AT + 2 * SECOND,
  },
  'fleetlog.task.recalled.v1': {
    type: 'fleetlog.task.recalled.v1',
    ...attempt,
    reason: 'the runner of builder-1 is gone',
    recalledAt: AT + 20 * SECOND,
  },
  'fleetlog.task.requeued.v1': {
    type: 'fleetlog.task.requeued.v1',
    ...attempt,
    outcome: 'failed',
    failure: { kind: 'runner-lost', message: 'the lease of runner builder-1@forge-7 expired' },
    endedAt: AT + 31 * SECOND,
  },
  'fleetlog.task.cancel-requested.v1': {
    type: 'fleetlog.task.cancel-requested.v1',
    ...attempt,
    reason: 'wrong branch',
    requestedAt: AT + 5 * SECOND,
  },
  'fleetlog.task.completed.v1': {
    type: 'fleetlog.task.completed.v1',
    ...ended,
    summary: 'The total is rounded once, at the end; the test passes.',
  },
  'fleetlog.task.failed.v1': { type: 'fleetlog.task.failed.v1', ...ended, summary: '', failure },
  'fleetlog.task.blocked.v1': {
    type: 'fleetlog.task.blocked.v1',
    ...ended,
    summary: 'The registry refuses the token.',
    reason: 'The registry refuses the token.',
  },
  'fleetlog.task.cancelled.v1': {
    type: 'fleetlog.task.cancelled.v1',
    ...about,
    last: { attempt: 1, runId, outcome: 'cancelled' },
    reason: 'wrong branch',
    endedAt: AT + 16 * SECOND,
  },
  'fleetlog.task.retried.v1': {
    type: 'fleetlog.task.retried.v1',
    ...about,
    attempts: 1,
    retriedAt: AT + 60 * SECOND,
  },
};

/** The event of an admission. */
export const ADMISSION_EXAMPLE: AdmissionEvent = {
  type: 'fleetlog.admission.granted.v1',
  admissionId: ADMISSION_ID,
  dispatcher: 'dispatch-01KAJ5K0',
  grants: [{ taskId: EXAMPLE_TASK_ID, attempt: 1, agent, runId }],
  grantedAt: AT + SECOND,
};

const place = { taskId: EXAMPLE_TASK_ID, seq: 15 };

/** Requests of the tasks service and what they give. */
export const TASK_REQUEST_EXAMPLES: {
  readonly [Op in TaskOperation]: {
    readonly request: TaskRequestOf<Op>;
    readonly result: TaskResultOf<Op>;
  };
} = {
  create: {
    request: { taskId: EXAMPLE_TASK_ID, ...EXAMPLE_ORDER, actor: 'user:anna' },
    result: { ...place, state: 'pending', repeated: false },
  },
  cancel: {
    request: { taskId: EXAMPLE_TASK_ID, requestId: 'monday-1', reason: 'wrong branch', actor: 'user:anna' },
    result: { ...place, seq: 21, state: 'cancelling' },
  },
  retry: {
    request: { taskId: EXAMPLE_TASK_ID, requestId: 'monday-2', actor: 'user:anna' },
    result: { ...place, seq: 30, state: 'pending', repeated: false },
  },
  assign: {
    request: {
      grantId: 'grant-01KAJ5M8Y0',
      expectedSeq: 9,
      dispatcher: 'dispatch-01KAJ5K0',
      grants: [{ taskId: EXAMPLE_TASK_ID, attempt: 1, agent }],
    },
    result: { granted: [EXAMPLE_TASK_ID], upToSeq: 17 },
  },
  recall: {
    request: {
      taskId: EXAMPLE_TASK_ID,
      attempt: 1,
      reason: 'the runner of builder-1 is gone',
      actor: 'service:dispatch',
    },
    result: { ...place, seq: 18, state: 'assigned' },
  },
};

/** The summary of the task while it runs. */
export const TASK_VIEW_EXAMPLE: TaskView = {
  seq: 19,
  ...boundary,
  taskId: EXAMPLE_TASK_ID,
  queue: 'fix',
  lane: 'fast',
  priority: 10,
  title: 'Cart rounding',
  provider: 'exec',
  agent: null,
  labels: ['gpu'],
  sessionId: null,
  state: 'running',
  attempts: [
    {
      attempt: 1,
      runId,
      sessionId,
      agent,
      recalled: null,
      outcome: null,
      failure: null,
      assignedAt: AT + SECOND,
      startedAt: AT + 2 * SECOND,
      endedAt: null,
    },
  ],
  attemptCount: 1,
  maxAttempts: 3,
  queuedSeq: 15,
  summary: null,
  failure: null,
  reason: null,
  references: ['https://issues.example/cart/42'],
  metadata: { area: 'cart' },
  createdAt: AT,
  endedAt: null,
  updatedAt: AT + 2 * SECOND,
};

/** Every operation of dispatch. */
export const DISPATCH_REQUEST_EXAMPLES: {
  readonly explain: {
    readonly request: DispatchRequestOf<'explain'>;
    readonly result: DispatchResultOf<'explain'>;
  };
} = {
  explain: {
    request: { queue: 'fix' },
    result: {
      lines: [
        {
          queue: 'fix',
          lane: 'fast',
          provider: 'exec',
          agent: null,
          labels: ['gpu'],
          waiting: 3,
          taskId: EXAMPLE_TASK_ID,
          reason: 'slots',
          because: 'every slot is taken (builder-1)',
          untilMs: null,
        },
      ],
      hasMore: false,
    },
  },
};
