// A command line run in this process against a gateway and a broker of the test.
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { recordedTerminal } from './recorded-terminal.ts';
import type { CliContext } from '#services/cli/context.ts';
import { runCli } from '#services/cli/program.ts';

interface CliResult {
  readonly code: number;
  readonly out: string;
  readonly note: string;
  /** What was printed, as JSON. */
  json(): Record<string, unknown>;
}

/** Runs command lines against this stack; `input` is standard input. */
export const gatewayCli =
  (stack: { readonly apiUrl: string; readonly natsUrl: string }) =>
  async (argv: readonly string[], input?: string): Promise<CliResult> => {
    const { terminal, out, note } = recordedTerminal();
    const absent = (): Promise<never> => Promise.reject(new Error('not here'));
    const context: CliContext = {
      version: '0',
      terminal,
      clock: systemClock,
      ids: systemIds,
      parseTime: Number,
      projections: () => Promise.resolve([]),
      diagnose: absent,
      environment: {},
      workingDirectory: '/nowhere',
      signal: new AbortController().signal,
      openFleet: absent,
      readStandardInput: () => Promise.resolve(input),
    };
    const code = await runCli([...argv, '--api-url', stack.apiUrl, '--nats-url', stack.natsUrl], context);
    return {
      code,
      out: out.join('\n'),
      note: note.join('\n'),
      json: () => JSON.parse(out.join('\n')) as Record<string, unknown>,
    };
  };
