// The broker user of an agent's runner, by name.

const RUNNER_USER = /^runner-(.+)$/;

/** The broker user of an agent's runner. */
export const runnerUser = (agent: string): string => `runner-${agent}`;

/** The agent of a runner's broker user; undefined for the control plane's. A runner is allowed its own subjects only. */
export const agentOfRunnerUser = (user: string | undefined): string | undefined =>
  RUNNER_USER.exec(user ?? '')?.[1];
