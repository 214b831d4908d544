// What an agent is told first: the prompt of its policy as a run of its own, asked of the service that owns runs once for each start. The
// run's id follows from the start, so asking again finds the same run.
import { createHash } from 'node:crypto';
import { Fault } from '#libs/kernel/fault.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { idFromDigest } from '#streams/ids.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import { RUN_REQUESTS, type RunRequestOf, type RunResultOf } from '#streams/run-requests.ts';
import { requestSubject, type Boundary } from '#streams/subjects.ts';
import { ACTOR } from './policy-log.ts';
import type { PolicyState, Spawn } from './policy-state.policy.ts';

type Running = Extract<PolicyEvent, { readonly type: 'fleetlog.policy.running.v1' }>;

export interface FirstWords {
  /** Says them, if the policy has any and the start is not over. Faults: those of the requests port, and those answered (later). */
  say(boundary: Boundary, event: Running, policy: PolicyState): Promise<void>;
}

const LEASE_MS = 30_000;

const idOf = (kind: 'run' | 'session', spawnId: string) =>
  idFromDigest(kind, createHash('sha256').update(`${spawnId}#first`).digest());

const runOf = (
  { spawnId, agent, config }: Spawn,
  prompt: string,
  turnTimeoutMs: number,
): RunRequestOf<'create'> => ({
  runId: idOf('run', spawnId),
  sessionId: idOf('session', spawnId),
  mayOpenSession: true,
  agent,
  provider: config.provider,
  title: 'First words',
  request: { prompt, turnTimeoutMs, ...(config.workspace !== undefined && { workspace: config.workspace }) },
  // The next start says them again.
  replay: 'fail',
  maxAttempts: 1,
  leaseMs: LEASE_MS,
  actor: ACTOR,
});

export const createFirstWords = ({
  client,
  timeoutMs,
  turnTimeoutMs,
}: {
  readonly client: RequestClient;
  /** How long the owner of runs may take to answer. */
  readonly timeoutMs: number;
  readonly turnTimeoutMs: number;
}): FirstWords => ({
  say: async (boundary, event, policy) => {
    const spawn = policy?.spawn;
    const prompt = spawn?.config.prompt;
    if (spawn?.spawnId !== event.spawnId || prompt === undefined) return;
    const answer = await askRequest<RunResultOf<'create'>>(client, {
      subject: requestSubject(boundary, 'runs', 'create'),
      request: runOf(spawn, prompt, turnTimeoutMs),
      answer: RUN_REQUESTS.create.answer,
      timeoutMs,
    });
    if (answer.outcome !== 'fault') return;
    const { code, retry, message } = answer;
    throw new Fault({ code, retry, message });
  },
});
