// One turn of a runner in memory: its program is played by the test, time moves by hand, and what reaches the disk is written down.
import { createManualClock, type ManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { Change, Note, Outbox } from '#libs/outbox/outbox.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';
import type { EventSink, TurnOrder } from '#services/runner/providers/provider.ts';
import type { StopReason, TurnFacts } from '#services/runner/providers/turn-facts.ts';
import { ReportWriter } from '#services/runner/report-writer.ts';
import type { RunsAnswer, RunsClient } from '#services/runner/runs-client.ts';
import { createSessionNotes } from '#services/runner/session-notes.ts';
import { Turn } from '#services/runner/turn.ts';
import type { TurnOrigin } from '#services/runner/turn-claim.ts';
import { createTurnJournal } from '#services/runner/turn-journal.ts';
import type { TurnParts } from '#services/runner/turn-parts.ts';
import { parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import type { RunRequest } from '#streams/run.ts';

/** What reached the disk in one transaction. */
interface Commit {
  /** Names of the reports. */
  readonly reports: readonly string[];
  readonly bodies: readonly Record<string, unknown>[];
  readonly notes: readonly Note[];
}

export interface TurnRig {
  readonly clock: ManualClock;
  readonly turn: Turn;
  readonly turnId: string;
  /** Everything that happened, in order: steps, phases, reports, what the program was told. */
  readonly happened: string[];
  readonly commits: Commit[];
  readonly fatal: unknown[];
  readonly notes: ReadonlyMap<string, unknown>;
  /** The program as the test plays it; undefined before it was started. */
  program(): PlayedProgram;
  isStarted(): boolean;
  /** Starts the turn and lets it come to where it waits. */
  start(): Promise<void>;
}

interface PlayedProgram {
  readonly order: TurnOrder;
  readonly sink: EventSink;
  readonly stops: StopReason[];
  end(facts?: Partial<TurnFacts>): void;
}

export interface TurnRigOptions {
  readonly request?: Partial<RunRequest>;
  /** Instead of writing to the disk; a rejection is what the disk says. */
  readonly onCommit?: (change: Change) => Promise<void>;
  /** Answers of the owner of runs, by operation; default: it grants and renews. */
  readonly answer?: (operation: string) => RunsAnswer<never> | undefined;
  /** Default `new`. */
  readonly origin?: TurnOrigin;
}

export const turnRig = ({ request = {}, onCommit, answer, origin = 'new' }: TurnRigOptions = {}): TurnRig => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const happened: string[] = [];
  const commits: Commit[] = [];
  const fatal: unknown[] = [];
  const notes = new Map<string, unknown>();
  let sourceSeq = 0;
  const outbox = {
    commit: async (change: Change) => {
      await onCommit?.(change);
      const records = change.records ?? [];
      for (const { key, value } of change.notes ?? [])
        if (value === null) notes.delete(key);
        else notes.set(key, value);
      const reports = records.map(({ kind }) => kind);
      commits.push({
        reports,
        bodies: records.map(({ body }) => parseJson(body) as Record<string, unknown>),
        notes: change.notes ?? [],
      });
      happened.push(...reports.map((name) => `report ${name}`));
      return records.map(({ id = '' }) => ({ sourceSeq: (sourceSeq += 1), id }));
    },
    note: (key: string) => notes.get(key),
    notes: (prefix = '') => new Map([...notes].filter(([key]) => key.startsWith(prefix))),
    settled: () => Promise.resolve(),
  } as unknown as Outbox;
  const redactor = createRedactor();
  const granted: Record<string, unknown> = {
    claim: { fence: 3, leaseMs: 30_000 },
    renew: { leaseMs: 30_000, cancelRequested: false },
  };
  const runs = {
    ask: async (operation: string) => {
      happened.push(`ask ${operation}`);
      return answer?.(operation) ?? { kind: 'ok', result: granted[operation] };
    },
  } as unknown as RunsClient;
  const turnId = makeId('turn', ids.ulid());
  const instruction = {
    commandId: makeId('command', ids.ulid()),
    runId: makeId('run', ids.ulid()),
    sessionId: makeId('session', ids.ulid()),
    agent: 'builder-1',
    provider: 'claude' as const,
    request: { prompt: 'do it', turnTimeoutMs: 60_000, ...request },
    leaseMs: 30_000,
  };
  let played: PlayedProgram | undefined;
  const play = (order: TurnOrder, sink: EventSink) => {
    const ending = Promise.withResolvers<TurnFacts>();
    const stops: StopReason[] = [];
    happened.push('start program');
    const end = (facts: Partial<TurnFacts> = {}): void =>
      ending.resolve({
        closing: { outcome: 'done', summary: 'ok', message: '' },
        exit: { code: 0, signal: null },
        startProblem: null,
        stopped: stops[0] ?? null,
        lastText: '',
        errorTail: '',
        usage: null,
        events: 0,
        leftovers: 0,
        session: { providerSessionId: 'conversation', counters: {} },
        ...facts,
      });
    played = { order, sink, stops, end };
    const stop = (reason: StopReason): void => {
      happened.push(`stop ${reason}`);
      stops.push(reason);
    };
    return { started: Promise.resolve({ pid: 77 }), stop, ended: ending.promise };
  };
  const parts: TurnParts = {
    runnerId: 'runner',
    clock,
    outbox,
    runs,
    journal: createTurnJournal(outbox),
    writer: new ReportWriter({
      outbox,
      redactor,
      boundary: { tenant: 'local', project: 'main' },
      agent: 'builder-1',
      clock,
      ids,
    }),
    limits: { silenceMs: 0, killAfterMs: 2000, lingerMs: 1000 },
    prepareWorkspace: async () => {
      happened.push('prepare workspace');
      return { path: '/w', environment: {}, release: () => void happened.push('leave workspace') };
    },
    prepareTurn: async (_instruction, _scope, workspace) => ({
      provider: { name: 'pretend', start: play },
      order: {
        workspace: workspace.path,
        prompt: 'do it',
        program: ['agent'],
        environment: {},
        mark: 'M',
        limits: { turnTimeoutMs: 60_000, silenceMs: 0, killAfterMs: 2000, lingerMs: 1000 },
      },
      programVersion: undefined,
      resumeMismatch: 'accept',
    }),
    sessions: createSessionNotes({ outbox, clock, redactor }),
    control: { echo: () => undefined, end: () => undefined, revoke: () => undefined },
    // Nobody is asked.
    approvals: {
      isAsked: false,
      openFor: () => ({ ask: () => Promise.reject(new Error('nobody is asked')), close: () => undefined }),
    } as unknown as TurnParts['approvals'],
    besideStart: () => ({ records: [], notes: [], stored: () => undefined }),
    midTurn: { opened: () => undefined, silence: () => undefined, closed: () => Promise.resolve() },
    reached: (step) => void happened.push(`step ${step}`),
    observe: (observation) => {
      if (observation.kind === 'phase') happened.push(`phase ${observation.state.phase}`);
    },
    onFatal: (error) => void fatal.push(error),
  };
  const turn = new Turn(parts, { instruction, claimId: 'claim', turnId, held: null, word: null }, origin);
  return {
    clock,
    turn,
    turnId,
    happened,
    commits,
    fatal,
    notes,
    program: () => {
      if (played === undefined) throw new Error('the program was not started');
      return played;
    },
    isStarted: () => played !== undefined,
    start: async () => {
      turn.start();
      await clock.settle();
    },
  };
};
