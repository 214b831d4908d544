// The requests of a runner to the service that owns runs.
import type { RequestClient } from '#libs/ports/requests.ts';
import { RUN_REQUESTS, type RunnerOperation } from '#streams/run-requests.ts';
import type { AgentPlace } from '#streams/subjects.ts';
import { createAgentRequests, type AgentAnswer, type AgentRequests } from './agent-requests.ts';

export type RunsAnswer<Result> = AgentAnswer<Result>;
export type RunsClient = AgentRequests<Pick<typeof RUN_REQUESTS, RunnerOperation>>;

/** Asks in the name of one agent. */
export const createRunsClient = (client: RequestClient, place: AgentPlace): RunsClient =>
  createAgentRequests(client, place, { service: 'runs', table: RUN_REQUESTS });
