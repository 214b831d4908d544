// How results and errors look: tables for people, JSON for programs, and which exit code goes with what.
// Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the stack cannot be reached.
import { Fault, toFault } from '#libs/kernel/fault.ts';
import { z } from 'zod';
import type { Terminal } from './context.ts';

export type ExitCode = 0 | 1 | 2 | 3;

const UNREACHABLE = new Set([
  'API_UNREACHABLE',
  'CONNECTION_UNKNOWN',
  'BROKER_UNREACHABLE',
  'LOG_UNAVAILABLE',
  'KV_UNAVAILABLE',
  'LOCAL_UNREACHABLE',
]);

/** The exit code of a fault. */
export const exitCodeOf = (fault: Fault): ExitCode => {
  if (fault.code === 'ARGUMENT_INVALID') return 2;
  return UNREACHABLE.has(fault.code) ? 3 : 1;
};

/** Prints an error: one line for people, an object with `error` for programs. Returns the exit code. */
export const printError = (terminal: Terminal, error: unknown, isJson: boolean): ExitCode => {
  const fault =
    error instanceof z.ZodError
      ? new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message: z.prettifyError(error), cause: error })
      : toFault(error);
  if (isJson)
    terminal.out(
      JSON.stringify({
        error: { code: fault.code, message: fault.message, retry: fault.retry, detail: fault.detail },
      }),
    );
  else terminal.note(`error ${fault.code}: ${fault.message}`);
  return exitCodeOf(fault);
};

/** A left-aligned table with a header line; columns as wide as their widest cell. */
export const table = (header: readonly string[], rows: readonly (readonly string[])[]): string => {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(header), ...rows.map(line)].join('\n');
};

/** `2026-11-30 00:48:09`, in the zone of this machine. */
export const clockText = (atMs: number): string =>
  new Intl.DateTimeFormat('sv', { dateStyle: 'short', timeStyle: 'medium' }).format(atMs);

/** `3 s`, `2 min`, `4 h`, `5 d`: how long ago. */
export const ago = (thenMs: number, nowMs: number): string => {
  const seconds = Math.max(0, Math.round((nowMs - thenMs) / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
};

// oxlint-disable-next-line no-control-regex -- control characters are what is taken out
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** A text as a terminal may show it: what agents and people wrote cannot move the cursor, change colours or hide lines. */
export const withoutControls = (text: string): string => text.replaceAll(CONTROLS, '\ufffd');
