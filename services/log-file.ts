// The log file of a stack: appended to, and never a reason to end. While it cannot be written (a full disk) lines are lost, which is
// said once; it goes on with the next line that fits. Loses nothing else and keeps nothing in memory.
import { createWriteStream, type WriteStream } from 'node:fs';
import type { LogSink } from '#libs/telemetry/logger.ts';

export interface LogFile extends LogSink {
  close(): void;
}

/** Opens `path` for appending, created for its owner only. */
export const openLogFile = (path: string, onTrouble: (line: string) => void): LogFile => {
  let stream: WriteStream | undefined;
  let isTold = false;
  const open = (): WriteStream => {
    const opened = createWriteStream(path, { flags: 'a', mode: 0o600 });
    opened.on('error', (error) => {
      if (stream === opened) stream = undefined;
      if (!isTold) onTrouble(`the log ${path} cannot be written, lines are lost: ${error.message}`);
      isTold = true;
    });
    return opened;
  };
  return {
    write: (line) => {
      stream ??= open();
      stream.write(line, (error) => {
        if (error === undefined || error === null) isTold = false;
      });
    },
    close: () => stream?.end(),
  };
};
