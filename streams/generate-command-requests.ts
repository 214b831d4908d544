// One example of every request about the commands of a run, for the generated pages. Typed by the contract. Not used at run time.
import { EXAMPLE } from './generate-examples.ts';
import type { RUN_COMMAND_REQUESTS } from './run-command-requests.ts';
import type { RequestOf, ResultOf } from './requests.ts';

const { runId, sessionId } = EXAMPLE;
const commandId = 'cmd_01KAJ5MFB0S5W2T8P1N4R6V9XA';
const newRunId = 'run_01KAJ5Q0C0T7Y9B1D3F5H7K9M2';
const actor = 'user:anna';
const placed = { runId, commandId, commandSeq: 2, type: 'steer', runState: 'running' } as const;

type Table = typeof RUN_COMMAND_REQUESTS;

export const COMMAND_REQUEST_EXAMPLES: {
  readonly [Op in keyof Table]: {
    readonly request: RequestOf<Table, Op>;
    readonly result: ResultOf<Table, Op>;
  };
} = {
  'create-command': {
    request: {
      runId,
      commandId,
      key: 'review-4711',
      type: 'steer',
      text: 'Leave the currency table alone.',
      actor,
    },
    result: { ...placed, seq: 17, state: 'pending', repeated: false },
  },
  'cancel-command': {
    request: { runId, commandId, reason: 'not needed any more', actor },
    result: { ...placed, seq: 18, state: 'cancelled' },
  },
  retry: {
    request: { runId, newRunId, conversation: 'new', actor },
    result: { runId: newRunId, seq: 41, sessionId, retryOf: runId, repeated: false, state: 'queued' },
  },
  unstick: {
    request: { runId, fix: false, actor },
    result: {
      runId,
      seq: 12,
      state: 'queued',
      waitsFor: 'no-runner',
      words: ['No runner of builder-1 is heard of: start one, and it takes the run.'],
      remedy: null,
      fixed: false,
    },
  },
};
