// The run aggregate on its log: commands are decided against the folded history and appended to TRANSITIONS.
// Every id is derived from what caused the command, so that a repeat is the same append. Does not talk to runners.
import { hash } from 'node:crypto';
import type { CommandHandler } from '#libs/commands/command-handler.ts';
import { createCommandHandler } from '#libs/commands/handle-command.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { historyOf } from '#streams/entry.ts';
import { idFromDigest } from '#streams/ids.ts';
import { decodeRunEvent, encodeRunEvent } from '#streams/run-codec.ts';
import type { RunCommand, RunEvent } from '#streams/run.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';
import { runDecider } from './run.decider.ts';
import type { RunRejection, RunState } from './run-state.policy.ts';

/** A run, and on whose behalf something is done to it. */
export interface RunTarget {
  readonly boundary: Boundary;
  readonly runId: string;
  /** `user:anna`, `agent:builder-1`, `service:runs`. */
  readonly actor: string;
  /** Id of the report or request that caused the command. */
  readonly causation?: string;
}

/** Decides and appends; see libs/commands. */
export type RunLog = CommandHandler<RunTarget, RunCommand, RunEvent, RunState, RunRejection>;

/** The process that appends the transitions of runs. */
export const SOURCE = '/service/runs';

/** When an event happened: turns by the runner's clock, the rest when it was decided. Epoch ms. */
const happenedAt = (event: RunEvent, now: number): number => {
  if (event.type === 'fleetlog.run.turn-started.v1') return event.startedAt;
  if (event.type === 'fleetlog.run.approval-asked.v1') return event.askedAt;
  return 'endedAt' in event ? event.endedAt : now;
};

/** The event of an entry; undefined: of a newer version, passed over. Throws `RUN_UNREADABLE` (never): nothing is decided from a history that is not understood. */
const decodeEntry = (entry: StoredEntry): RunEvent | undefined =>
  historyOf(decodeRunEvent(entry), entry, 'RUN_UNREADABLE')?.event;

/** Builds the handler; `log` is that of TRANSITIONS. */
export const createRunLog = (parts: {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly ids: Ids;
}): RunLog =>
  createCommandHandler<RunTarget, RunCommand, RunEvent, RunState, RunRejection>({
    ...parts,
    decider: runDecider,
    subjectOf: ({ boundary, runId }) => aggregateSubject(boundary, 'run', runId),
    encode: (event, { target, id, now }) =>
      encodeRunEvent(event, {
        boundary: target.boundary,
        id,
        source: SOURCE,
        timeMs: happenedAt(event, now),
        actor: target.actor,
        correlation: target.runId,
        ...(target.causation !== undefined && { causation: target.causation }),
        ...('fence' in event && event.fence !== null && { fence: event.fence }),
      }),
    decodeEntry,
  });

/** The instruction of an attempt (1: the first): the same for everybody who derives it. */
export const attemptCommandId = (runId: string, attempt: number): string =>
  idFromDigest('command', hash('sha256', `${runId}#${attempt}`, 'buffer'));

/** SHA-256 (hex) of a JSON value as it is written; key order counts. */
export const hashOf = (value: unknown): string => hash('sha256', JSON.stringify(value));
