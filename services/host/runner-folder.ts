// The folder of one agent on a host: the configuration that its runner reads, its log, its own data. A log is turned over at each start.
import {
  closeSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
  fstatSync,
} from 'node:fs';
import { join } from 'node:path';
import { telling } from './last-words.policy.ts';

/** A log that grows beyond this while its runner works is begun anew. */
const MOST_LOG_BYTES = 16 * 1024 * 1024;
const LAST_WORDS_BYTES = 16_384;

export interface RunnerFolder {
  readonly dataDir: string;
  readonly configFile: string;
  readonly logFile: string;
}

export const runnerFolder = (hostDir: string, agent: string): RunnerFolder => {
  const folder = join(hostDir, 'runners', agent);
  return {
    dataDir: join(folder, 'data'),
    configFile: join(folder, 'config.json'),
    logFile: join(folder, 'runner.log'),
  };
};

/** Makes the folder, writes the configuration, and opens a fresh log. The caller closes it. */
export const prepareFolder = (folder: RunnerFolder, config: unknown): number => {
  mkdirSync(folder.dataDir, { recursive: true, mode: 0o700 });
  writeFileSync(folder.configFile, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
  try {
    renameSync(folder.logFile, `${folder.logFile}.1`);
  } catch {
    // The first start.
  }
  return openSync(folder.logFile, 'a', 0o600);
};

/** What the end of the log says about an exit; empty when it says nothing. */
export const lastWords = ({ logFile }: RunnerFolder): string => {
  try {
    const file = openSync(logFile, 'r');
    try {
      const { size } = fstatSync(file);
      const bytes = Buffer.alloc(Math.min(size, LAST_WORDS_BYTES));
      const read = readSync(file, bytes, 0, bytes.length, Math.max(0, size - bytes.length));
      const tail = bytes.subarray(0, read).toString('utf8');
      return telling(tail, { isWhole: size <= LAST_WORDS_BYTES });
    } finally {
      closeSync(file);
    }
  } catch {
    return '';
  }
};

/** Keeps a log within bounds; the runner appends, so it goes on at the beginning. */
export const boundLog = ({ logFile }: RunnerFolder): void => {
  try {
    if (statSync(logFile).size > MOST_LOG_BYTES) truncateSync(logFile, 0);
  } catch {
    // There is none.
  }
};
