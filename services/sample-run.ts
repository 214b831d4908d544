// The sample that `npm start` shows: a real agent process that edits files in a scratch git repository, asked for over HTTP
// like any other work, its events shown as they come.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ApiClient } from './cli/api-client.ts';
import type { CliContext } from './cli/context.ts';
import { messageLine } from './cli/feed-line.ts';
import { followRun } from './cli/run-feed.ts';
import type { Stack } from './up.ts';

const WORKSPACE = 'sample';

/** Steps of the scripted agent (services/runner/README.md): small, visible, and different each time only by the haiku's number. */
const script = (number: number): string =>
  [
    'Tend the pond log. Steps:',
    '```json',
    JSON.stringify([
      { say: 'Looking at the repository first.' },
      { shell: 'git log --oneline -3 2>/dev/null || echo a new repository' },
      {
        append: 'POND.md',
        content: `\n## Visit ${number}\n\nA heron waits, still —\nthe log keeps what the water\nwould rather forget.\n`,
      },
      { shell: 'wc -l POND.md' },
      { commit: `pond: note visit ${number}` },
      { say: `Visit ${number} is written down and committed.` },
    ]),
    '```',
  ].join('\n');

interface SampleOptions {
  readonly context: CliContext;
  readonly stack: Stack;
  readonly api: ApiClient;
  readonly isQuiet: boolean;
}

const exists = async (path: string): Promise<boolean> => {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
};

/** Starts the sample and, unless it is to be quiet, shows it to its end. */
export const startSampleRun = async ({ context, stack, api, isQuiet }: SampleOptions): Promise<void> => {
  const listed = await api.call({ path: '/api/v1/runs?limit=100' }, z.object({ runs: z.array(z.unknown()) }));
  const run = await api.call(
    {
      method: 'POST',
      path: '/api/v1/runs',
      body: {
        prompt: script(listed.runs.length + 1),
        workspace: WORKSPACE,
        title: 'Sample: tend the pond log',
      },
    },
    z.object({ runId: z.string() }),
  );
  if (isQuiet) return;
  context.terminal.out(`Sample run ${run.runId}:`);
  await followRun({
    connection: stack.connection,
    runId: run.runId,
    context,
    onMessage: (message) => {
      const line = messageLine(message);
      if (line !== undefined) context.terminal.out(`  ${line}`);
      return Promise.resolve();
    },
  });
  const file = join(stack.workspaces, WORKSPACE, 'POND.md');
  if (await exists(file)) context.terminal.out(`See what it did: cat ${file}`);
};
