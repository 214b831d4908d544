// The process as a value: its signals, its crashes and its end. The only file that touches `process.on` and `process.exit`.

export type StopSignal = 'SIGINT' | 'SIGTERM';

/** Why a process cannot be trusted any more. */
export type CrashKind = 'uncaughtException' | 'unhandledRejection';

/** What the shell of a process listens to and how it ends. Each `on…` returns what takes the listener away again. */
export interface ProcessControl {
  onSignal(listener: (signal: StopSignal) => void): () => void;
  /** While a listener is there the process does not end by itself on a crash: the listener must end it. */
  onCrash(listener: (kind: CrashKind, error: unknown) => void): () => void;
  /** Ends the process at once. What is not written by then is lost. */
  exit(code: number): void;
}

/** This process. */
export const systemProcess: ProcessControl = {
  onSignal: (listener) => {
    const onInterrupt = (): void => listener('SIGINT');
    const onTerminate = (): void => listener('SIGTERM');
    process.on('SIGINT', onInterrupt);
    process.on('SIGTERM', onTerminate);
    return () => {
      process.off('SIGINT', onInterrupt);
      process.off('SIGTERM', onTerminate);
    };
  },
  onCrash: (listener) => {
    const onException = (error: unknown): void => listener('uncaughtException', error);
    const onRejection = (error: unknown): void => listener('unhandledRejection', error);
    process.on('uncaughtException', onException);
    process.on('unhandledRejection', onRejection);
    return () => {
      process.off('uncaughtException', onException);
      process.off('unhandledRejection', onRejection);
    };
  },
  exit: (code) => {
    process.exit(code);
  },
};
