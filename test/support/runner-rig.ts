// A runner in this process on a test's broker, and what tests ask it to do. The control plane beside it is the real one.
import { join } from 'node:path';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Ports } from '#libs/service/context.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { newSecret } from '#libs/system/secrets.ts';
import type { RunnerSurroundings } from '#services/runner/runner-process.ts';
import { createRunnerService } from '#services/runner/service.ts';
import { decodeReport, type Report } from '#streams/report-codec.ts';
import type { RunEvent } from '#streams/run.ts';
import { typedFilter } from '#streams/subjects.ts';
import { scratchDir } from './broker.ts';
import { BOUNDARY, startControlPlane, type ControlPlane, type ControlPlaneOptions } from './control-plane.ts';
import { history, transition } from './scripted-runner.ts';

export const AGENT = 'builder-1';

export interface RunnerFolders {
  readonly dataDir: string;
  readonly workspaceRoot: string;
}

/** Folders of a runner, below the system's temporary one. */
export const runnerFolders = (): RunnerFolders => {
  const root = scratchDir('runner');
  return { dataDir: join(root, 'data'), workspaceRoot: join(root, 'workspaces') };
};

export interface RunnerRigOptions extends Partial<RunnerSurroundings> {
  readonly broker: ControlPlaneOptions['broker'];
  readonly folders: RunnerFolders;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly inboxPrefix?: string;
}

/** Starts the runner of {@link AGENT} on a connection of its own. */
export const startRunner = ({
  broker,
  folders,
  config = {},
  inboxPrefix,
  ...surroundings
}: RunnerRigOptions): Promise<ControlPlane> => {
  const service = createRunnerService({ environment: readEnvironment(), newSecret, ...surroundings });
  const settings = {
    agent: AGENT,
    ...BOUNDARY,
    ...folders,
    announceMs: 1000,
    finishMs: 500,
    killAfterMs: 500,
    ...config,
  };
  return startControlPlane({
    broker,
    services: [service],
    config: { runner: settings },
    ...(inboxPrefix !== undefined && { inboxPrefix }),
  });
};

/** A prompt that is a script of the sample agent. */
export const script = (...steps: readonly object[]): { prompt: string; turnTimeoutMs: number } => ({
  prompt: JSON.stringify(steps),
  turnTimeoutMs: 60_000,
});

export type StoredReport = Report & { readonly entry: StoredEntry; readonly sourceSeq: number | undefined };

/** Every report of the agent's runner so far, in stream order. */
export const reportsOf = async (ports: Ports, runId?: string): Promise<readonly StoredReport[]> => {
  const reports: StoredReport[] = [];
  const subjects = [typedFilter('evt', { ...BOUNDARY, id: AGENT })];
  for await (const entry of ports.log('EVENTS').replay({ subjects })) {
    const reading = decodeReport(entry);
    if (reading.kind !== 'known') throw new Error(`report ${entry.seq}: ${JSON.stringify(reading)}`);
    if (runId !== undefined && (!('runId' in reading.data) || reading.data.runId !== runId)) continue;
    reports.push({ ...reading, entry, sourceSeq: reading.envelope.sourceSeq });
  }
  return reports;
};

/** Resolves when the runner has reported something that fits. */
export const reported = async (
  ports: Ports,
  runId: string,
  fits: (report: Report) => boolean,
): Promise<Report> => {
  const found = new AbortController();
  const subjects = [typedFilter('evt', { ...BOUNDARY, id: AGENT })];
  for await (const entry of ports.log('EVENTS').replay({ subjects, follow: true, signal: found.signal })) {
    const reading = decodeReport(entry);
    if (reading.kind !== 'known' || !('runId' in reading.data) || reading.data.runId !== runId) continue;
    if (!fits(reading)) continue;
    found.abort();
    return reading;
  }
  throw new Error('the replay ended');
};

const ENDS = [
  'fleetlog.run.completed.v1',
  'fleetlog.run.blocked.v1',
  'fleetlog.run.failed.v1',
  'fleetlog.run.cancelled.v1',
] as const;

/** The end of a run, whichever it is. */
export const ended = (ports: Ports, runId: string): Promise<RunEvent & { readonly seq: number }> =>
  Promise.race(ENDS.map((type) => transition(ports, runId, type)));

/** How often a run has ended. */
export const endsOf = async (ports: Ports, runId: string): Promise<number> =>
  (await history(ports, runId)).filter(({ type }) => ENDS.some((end) => end === type)).length;
