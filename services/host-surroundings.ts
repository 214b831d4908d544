// What the service `host` is given by this product: how a runner's process is started, what its settings may be, which programs there are,
// and how reports are sent. A service imports no other, so they meet here.
import { readEnvironment } from '#libs/system/env.ts';
import { readBuildFacts } from '#libs/system/process-facts.ts';
import type { HostSurroundings } from './host/host-process.ts';
import { findProgram } from './runner/programs.ts';
import { createReportSender } from './runner/report-sender.ts';
import { RunnerConfig } from './runner/runner-config.ts';

const MAIN = new URL('main.mjs', import.meta.url).pathname;

const settingsProblem: HostSurroundings['settingsProblem'] = (settings) => {
  const parsed = RunnerConfig.safeParse(settings);
  if (parsed.success) return undefined;
  const issues = parsed.error.issues.map(
    ({ path, message }) => `${path.join('.') || 'settings'}: ${message}`,
  );
  return `the settings of the runner do not fit: ${issues.join('; ')}`.slice(0, 2000);
};

/** The surroundings of a host in this process. */
export const hostSurroundings = (): HostSurroundings => {
  const environment = readEnvironment();
  const named = (variable: string, name: string): string => environment[variable] ?? name;
  return {
    environment,
    version: readBuildFacts().version,
    runnerProgram: [process.execPath, MAIN, 'runner'],
    settingsProblem,
    findProviders: (searchPath) => [
      'exec',
      ...(findProgram(named('FLEETLOG_RUNNER_CLAUDE_PROGRAM', 'claude'), searchPath)
        ? (['claude'] as const)
        : []),
      ...(findProgram(named('FLEETLOG_RUNNER_CODEX_PROGRAM', 'codex'), searchPath)
        ? (['codex'] as const)
        : []),
      ...(environment['FLEETLOG_RUNNER_ACP_PROGRAM'] === undefined ? [] : (['acp'] as const)),
    ],
    createSender: createReportSender,
  };
};
