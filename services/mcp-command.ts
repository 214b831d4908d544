// fleetlog mcp: the tools of an agent in a turn, over standard input and output. Loaded by itself, because a program waits for it.
import { toFault } from '#libs/kernel/fault.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import { systemProcess } from '#libs/system/process-control.ts';
import { readBuildFacts } from '#libs/system/process-facts.ts';
import { serveMcp } from './runner/mcp/serve-mcp.ts';

/** Serves until its input ends, and ends the process: an answer that nobody waits for holds nothing up. */
export const runMcp = async (): Promise<void> => {
  try {
    const { version } = readBuildFacts();
    await serveMcp({ environment: readEnvironment(), clock: systemClock, ids: systemIds, version });
    systemProcess.exit(0);
  } catch (error) {
    const { code, message } = toFault(error);
    process.stderr.write(`error ${code}: ${message}\n`);
    systemProcess.exit(1);
  }
};
