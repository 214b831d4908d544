// What a host says of its spawns: started, refused, ended. Each report is stored in the same transaction as the change of the journal that
// it tells of, under an id that follows from what it is about.
import { sweepMarked } from '#libs/processes/marked-processes.ts';
import type { SpawnInstruction } from '#streams/host-instructions.ts';
import { OVER_MEMORY } from '#streams/host-reports.ts';
import { noteOf, type RunningEntry } from './journal.ts';
import { SPAWN_MARK, type Launched } from './launch.ts';
import type { Refusal } from './spawn-rules.policy.ts';
import type { SupervisorParts } from './supervisor-parts.ts';

/** How a process ended, as far as it was seen. */
export type Exit = Awaited<Launched['exited']>;
/** Nobody who may ask the system was there. */
export const UNSEEN: Exit = { code: null, signal: null };

/** For what a dead runner has left behind. */
export const SWEEP_MS = 2000;

export const reportStarted = ({ reporter, host }: SupervisorParts, entry: RunningEntry): Promise<void> => {
  const { spawnId, policy, agent, commandId, process } = entry;
  const { pid, startedAt } = process;
  return reporter.write(
    'spawn-started',
    { spawnId, policy, agent, host, pid, startedAt },
    { id: `${spawnId}.started`, notes: [noteOf(entry)], causation: commandId },
  );
};

/** `isOver`: it is never started any more. */
export const reportRefused = (
  { reporter, clock, host }: SupervisorParts,
  about: Pick<SpawnInstruction, 'spawnId' | 'policy' | 'agent' | 'commandId'>,
  { code, message, isOver }: Refusal & { readonly isOver: boolean },
): Promise<void> => {
  const { spawnId, policy, agent, commandId } = about;
  const refusedAt = clock.now();
  return reporter.write(
    'spawn-refused',
    { spawnId, policy, agent, host, code, message, refusedAt },
    {
      id: `${commandId}.refused`,
      causation: commandId,
      notes: isOver ? [noteOf({ state: 'over', spawnId, overAt: refusedAt })] : [],
    },
  );
};

/** First ends whatever still bears the mark of the spawn: programs of turns included. */
export const reportEnded = async (
  { clock, reporter, host, cgroups, redactor, lastWordsOf }: SupervisorParts,
  entry: RunningEntry,
  { code, signal, wasForced }: Exit & { readonly wasForced: boolean },
): Promise<void> => {
  const { spawnId, policy, agent, commandId, wasAsked, endedFor } = entry;
  const { pid, startedAt } = entry.process;
  await sweepMarked(`${SPAWN_MARK}=${spawnId}`, clock, SWEEP_MS);
  const isForMemory = signal === 'SIGKILL' && cgroups.wasOverMemory(spawnId);
  cgroups.remove(spawnId);
  const words = isForMemory ? OVER_MEMORY : redactor.text(lastWordsOf(agent)).value.slice(-2000);
  const exitedAt = clock.now();
  const how = {
    exitCode: code,
    signal,
    wasAsked,
    ...(endedFor !== undefined && { endedFor }),
    wasForced,
    lastWords: wasAsked || endedFor !== undefined ? '' : words,
  };
  await reporter.write(
    'agent-exited',
    { spawnId, policy, agent, host, pid, startedAt, exitedAt, ...how },
    {
      id: `${spawnId}.exited`,
      causation: commandId,
      notes: [noteOf({ state: 'over', spawnId, overAt: exitedAt })],
    },
  );
};
