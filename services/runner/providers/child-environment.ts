// The environment of a program that a runner starts: clean (only what is on the list), with the facts of its turn and the marks by which what
// it leaves behind is found. Pure.
import { delimiter } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Passed on from the runner's own environment: where programs, home and temporary files are, and the language. No secrets. */
const PASSED = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LANGUAGE',
  'TZ',
  'TMPDIR',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  // The mark of the spawn, by which a host ends what a dead runner has left.
  'FLEETLOG_SPAWN',
];

/** The variable whose value is the turn's id: what bears it belongs to that turn. */
export const TURN_MARK = 'FLEETLOG_TURN';
/** The variable whose value is the id of the session that a program works in. */
export const SESSION_VARIABLE = 'FLEETLOG_SESSION';
/** What is of one run or turn, and means nothing to a program that outlives them. */
export const RUN_VARIABLES: ReadonlySet<string> = new Set(['FLEETLOG_RUN', TURN_MARK]);
/** The variable whose value names a program that outlives its turn: what bears it belongs to that program. */
export const PROCESS_MARK = 'FLEETLOG_PROCESS';
/** The variable whose value names the program, outliving its turn, that a server of tools belongs to: it lives as long as the program. */
export const TOOLS_MARK = 'FLEETLOG_TOOLS';
/** The variable whose value is the runner's id: what bears it when that runner starts is left over. */
export const RUNNER_MARK = 'FLEETLOG_RUNNER';

export interface EnvironmentFacts {
  readonly tenant: string;
  readonly project: string;
  readonly agent: string;
  readonly runnerId: string;
  readonly runId: string;
  readonly turnId: string;
  readonly sessionId: string;
  readonly workspace: string;
  /** Folder of the command `fleetlog`, for where there is none on the path. */
  readonly commands?: string;
}

/** `extraNames`: further variables of the runner's own that are passed on, as configured. */
export const childEnvironment = (
  own: Environment,
  facts: EnvironmentFacts,
  extraNames: readonly string[] = [],
): Record<string, string> => {
  const environment: Record<string, string> = {};
  for (const name of [...PASSED, ...extraNames, ...Object.keys(own).filter((key) => key.startsWith('LC_'))]) {
    const value = own[name];
    if (value !== undefined) environment[name] = value;
  }
  return {
    ...environment,
    PATH: [environment['PATH'], facts.commands].filter((part) => part !== undefined).join(delimiter),
    FLEETLOG_TENANT: facts.tenant,
    FLEETLOG_PROJECT: facts.project,
    FLEETLOG_AGENT: facts.agent,
    FLEETLOG_RUN: facts.runId,
    [SESSION_VARIABLE]: facts.sessionId,
    FLEETLOG_WORKSPACE: facts.workspace,
    [TURN_MARK]: facts.turnId,
    [RUNNER_MARK]: facts.runnerId,
  };
};
