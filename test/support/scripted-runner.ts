// A runner that does what a test says, step by step, over the same requests and streams as a real one; and the waiting for
// facts in the streams. Nothing here waits for time: a fact that does not come runs into the limit of the test.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Ports } from '#libs/service/context.ts';
import { systemIds } from '#libs/system/ids.ts';
import type { ApprovalMode, AskedCall } from '#streams/approvals.ts';
import { makeId } from '#streams/ids.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import type { AnswerInstruction, TurnInstruction } from '#streams/instructions.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { encodeReport } from '#streams/report-codec.ts';
import type { ReportData, ReportName } from '#streams/reports.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import {
  isRunnerOperation,
  RUN_REQUESTS,
  type RunAnswerOf,
  type RunOperation,
  type RunRequestOf,
} from '#streams/run-requests.ts';
import type { RunEvent } from '#streams/run.ts';
import type { TurnResult } from '#streams/turn-result.ts';
import { agentRequestSubject, aggregateSubject, requestSubject, typedFilter } from '#streams/subjects.ts';
import { BOUNDARY } from './control-plane.ts';

/** Asks the runs service, as a runner where runners ask; any answer is a value. */
export const ask = async <Op extends RunOperation>(
  ports: Ports,
  operation: Op,
  request: RunRequestOf<Op>,
  agent = 'builder-1',
): Promise<RunAnswerOf<Op>> => {
  const subject = isRunnerOperation(operation)
    ? agentRequestSubject({ ...BOUNDARY, agent }, 'runs', operation)
    : requestSubject(BOUNDARY, 'runs', operation);
  const answer = await ports.requests.client.request(subject, jsonBytes(request), { timeoutMs: 5000 });
  return RUN_REQUESTS[operation].answer.parse(parseJson(answer.body)) as RunAnswerOf<Op>;
};

/** Follows a stream until `pick` finds what it waits for. */
const follow = async <Found>(
  ports: Ports,
  { stream, subject }: { readonly stream: string; readonly subject: string },
  pick: (entry: StoredEntry) => Found | undefined,
): Promise<Found> => {
  const found = new AbortController();
  const replay = ports.log(stream).replay({ subjects: [subject], follow: true, signal: found.signal });
  try {
    for await (const entry of replay) {
      const value = pick(entry);
      if (value !== undefined) return value;
    }
  } finally {
    found.abort();
  }
  throw new Error(`the replay of ${subject} ended`);
};

type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;

/** The first transition of a run that is of this type (and fence). */
export const transition = <Type extends RunEvent['type']>(
  ports: Ports,
  runId: string,
  type: Type,
  fence?: number,
): Promise<EventOf<Type> & { readonly seq: number }> =>
  follow(ports, { stream: 'TRANSITIONS', subject: aggregateSubject(BOUNDARY, 'run', runId) }, (entry) => {
    const reading = decodeRunEvent(entry);
    if (reading.kind !== 'known' || reading.event.type !== type) return undefined;
    const event = reading.event as EventOf<Type>;
    if (fence !== undefined && (!('fence' in event) || event.fence !== fence)) return undefined;
    return { ...event, seq: entry.seq };
  });

/** All transitions of a run so far. */
export const history = async (ports: Ports, runId: string): Promise<readonly RunEvent[]> => {
  const events: RunEvent[] = [];
  for await (const entry of ports.log('TRANSITIONS').read(aggregateSubject(BOUNDARY, 'run', runId))) {
    const reading = decodeRunEvent(entry);
    if (reading.kind === 'known') events.push(reading.event);
  }
  return events;
};

/** The instruction to start the given attempt of a run, or to cancel it. */
export const turnInstruction = (ports: Ports, runId: string, attempt = 1): Promise<TurnInstruction> => {
  const commandIds = new Set<string>();
  return follow(ports, { stream: 'COMMANDS', subject: typedFilter('cmd', BOUNDARY) }, (entry) => {
    const reading = decodeInstruction(entry);
    if (reading.kind !== 'known' || reading.name !== 'turn' || reading.data.runId !== runId) return undefined;
    commandIds.add(reading.data.commandId);
    return commandIds.size === attempt ? reading.data : undefined;
  });
};
export const cancelInstruction = (ports: Ports, runId: string): Promise<{ readonly reason: string }> =>
  follow(ports, { stream: 'COMMANDS', subject: typedFilter('cmd', BOUNDARY) }, (entry) => {
    const reading = decodeInstruction(entry);
    return reading.kind === 'known' && reading.name === 'cancel' && reading.data.runId === runId
      ? reading.data
      : undefined;
  });

/** What the runner of a held run is told of an answer. */
export const answerInstruction = (ports: Ports, runId: string): Promise<AnswerInstruction> =>
  follow(ports, { stream: 'COMMANDS', subject: typedFilter('cmd', BOUNDARY) }, (entry) => {
    const reading = decodeInstruction(entry);
    return reading.kind === 'known' && reading.name === 'answer-approval' && reading.data.runId === runId
      ? reading.data
      : undefined;
  });

/** The recorded refusal of an answer. */
export const refusedAnswer = (ports: Ports, runId: string): Promise<ReportData<'answer-refused'>> =>
  follow(
    ports,
    { stream: 'EVENTS', subject: typedFilter('evt', { ...BOUNDARY, type: 'answer-refused' }) },
    (entry) => {
      const data = parseJson(entry.body) as ReportData<'answer-refused'>;
      return data.runId === runId ? data : undefined;
    },
  );

/** The recorded refusal of a report. */
export const refusal = (ports: Ports, reportId: string): Promise<ReportData<'report-refused'>> =>
  follow(
    ports,
    { stream: 'EVENTS', subject: typedFilter('evt', { ...BOUNDARY, type: 'report-refused' }) },
    (entry) => {
      const data = parseJson(entry.body) as ReportData<'report-refused'>;
      return data.reportId === reportId ? data : undefined;
    },
  );

export const done: TurnResult = {
  outcome: 'done',
  exitCode: 0,
  signal: null,
  summary: 'all done',
  failure: null,
  durationMs: 12,
  events: 3,
};

/** A runner that holds a claim and reports under it. */
export interface ScriptedTurn {
  readonly fence: number;
  readonly turnId: string;
  started(): Promise<string>;
  says(text: string): Promise<string>;
  /** `actor`: whom the report names; default: its agent. */
  finished(result?: TurnResult, actor?: string): Promise<string>;
  /** Asks a person; gives the approval's id. Parked, the claim is over. */
  wants(mode: ApprovalMode, changes?: Partial<AskedCall> & { readonly waitMs?: number }): Promise<string>;
  /** Any report; gives its id. */
  report<Name extends ReportName>(name: Name, data: ReportData<Name>): Promise<string>;
}

let sourceSeq = 0;

/** Reports under a fence, whether it is good or not. */
export const turnUnder = (ports: Ports, instruction: TurnInstruction, fence: number): ScriptedTurn => {
  const { runId, sessionId, commandId, agent, provider } = instruction;
  const turnId = makeId('turn', systemIds.ulid());
  const about = { runId, sessionId, turnId };
  const report = async <Name extends ReportName>(
    name: Name,
    data: ReportData<Name>,
    actor = `agent:${agent}`,
  ): Promise<string> => {
    sourceSeq += 1;
    const id = `test:${systemIds.ulid()}`;
    const parts = encodeReport(name, data, {
      boundary: BOUNDARY,
      agent,
      id,
      source: `/runner/${agent}`,
      timeMs: ports.clock.now(),
      actor,
      correlation: runId,
      fence,
      sourceSeq,
    });
    await ports.log('EVENTS').append(parts);
    return id;
  };
  return {
    fence,
    turnId,
    report,
    started: () =>
      report('turn-started', {
        ...about,
        commandId,
        provider,
        runnerId: 'r1',
        program: ['agent'],
        workspace: 'w',
        pid: 1,
        startedAt: ports.clock.now(),
      }),
    says: (text) => report('text', { ...about, text }),
    wants: async (mode, { waitMs = 60_000, ...changes } = {}) => {
      const approvalId = makeId('approval', systemIds.ulid());
      const askedAt = ports.clock.now();
      await report('approval-wanted', {
        ...about,
        commandId,
        approvalId,
        callId: 'toolu_1',
        tool: 'Bash',
        input: { command: 'make release' },
        inputCutBytes: 0,
        digest: 'd'.repeat(64),
        question: 'Allow Bash?',
        mode,
        expiresAt: askedAt + waitMs,
        askedAt,
        ...changes,
      });
      return approvalId;
    },
    finished: (result = done, actor) =>
      report('turn-finished', { ...about, commandId, result, endedAt: ports.clock.now() }, actor),
  };
};

/** Claims a run as instructed; fails when it is refused. */
export const claimTurn = async (
  ports: Ports,
  instruction: TurnInstruction,
  runnerId = 'r1',
): Promise<ScriptedTurn> => {
  const { runId, commandId, agent } = instruction;
  const answer = await ask(ports, 'claim', { runId, runnerId, claimId: commandId, commandId }, agent);
  if (answer.outcome !== 'ok') throw new Error(`claim: ${JSON.stringify(answer)}`);
  return turnUnder(ports, instruction, (answer.result as { readonly fence: number }).fence);
};
