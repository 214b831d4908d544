// fleetlog run steer|turn|interrupt|commands|retry: what a run is told after it was asked for. Everything goes through
// the gateway; a repeat under the same idempotency key is the same command.
import type { Command } from 'commander';
import { COMMAND_API } from '#streams/http/commands.ts';
import type { CommandType } from '#streams/commands.ts';
import { runPath } from './api-client.ts';
import { invocation, withStackFlags, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { ago, table } from './output.ts';
import { promptOf } from './work-arguments.ts';

interface KeyFlags extends StackFlags {
  readonly idempotencyKey?: string;
}

interface Told {
  readonly commandId: string;
  readonly type: CommandType;
  readonly state: string;
  readonly runId: string;
  readonly runState: string;
}

const toldLine = ({ commandId, type, state, runId, runState }: Told): string =>
  `${commandId} ${type} is ${state}; run ${runId} is ${runState}`;

interface SteerFlags extends KeyFlags {
  readonly orFail?: boolean;
}

const say = async (
  context: CliContext,
  {
    type,
    runId,
    words,
  }: { readonly type: 'turn' | 'steer'; readonly runId: string; readonly words: readonly string[] },
  flags: SteerFlags,
): Promise<void> => {
  const call = await invocation(context, flags);
  const text = await promptOf(context, words, `fleetlog run ${type} ${runId} "what to say"`);
  const otherwise = flags.orFail === true ? 'fail' : undefined;
  const { idempotencyKey } = flags;
  const answer = await call.api.call(
    { method: 'POST', path: runPath(runId, 'commands'), body: { type, text, otherwise }, idempotencyKey },
    COMMAND_API.createCommand.answer,
  );
  context.terminal.out(call.isJson ? JSON.stringify(answer) : toldLine(answer));
};

interface InterruptFlags extends KeyFlags {
  readonly reason?: string;
  readonly then?: string;
}

const interrupt = async (context: CliContext, runId: string, flags: InterruptFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const { reason, then: text, idempotencyKey } = flags;
  const answer = await call.api.call(
    { method: 'POST', path: runPath(runId, 'interrupt'), body: { reason, text }, idempotencyKey },
    COMMAND_API.interruptRun.answer,
  );
  context.terminal.out(call.isJson ? JSON.stringify(answer) : toldLine(answer));
};

interface ListFlags extends StackFlags {
  readonly after?: string;
  readonly limit?: string;
}

const list = async (context: CliContext, runId: string, flags: ListFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const query = new URLSearchParams();
  for (const name of ['after', 'limit'] as const) {
    const value = flags[name];
    if (value !== undefined) query.set(name, value);
  }
  const page = await call.api.call(
    { path: `${runPath(runId, 'commands')}?${query.toString()}` },
    COMMAND_API.listCommands.answer,
  );
  if (call.isJson) return context.terminal.out(JSON.stringify(page));
  const now = context.clock.now();
  const rows = page.commands.map((command) => [
    String(command.seq),
    command.commandId,
    command.type,
    command.commandId === page.turnCommandId ? `${command.state} (the turn)` : command.state,
    ago(command.createdAt, now),
    [command.code ?? '', command.text ?? ''].filter((part) => part !== '').join(' '),
  ]);
  context.terminal.out(table(['#', 'COMMAND', 'TYPE', 'STATE', 'AGE', 'TEXT'], rows));
  if (page.next !== null) context.terminal.note(`more: fleetlog run commands ${runId} --after ${page.next}`);
};

const takeBack = async (
  context: CliContext,
  { runId, commandId }: { readonly runId: string; readonly commandId: string },
  flags: StackFlags & { readonly reason?: string },
): Promise<void> => {
  const call = await invocation(context, flags);
  const path = runPath(runId, `commands/${encodeURIComponent(commandId)}/cancel`);
  const body = flags.reason === undefined ? {} : { reason: flags.reason };
  const answer = await call.api.call({ method: 'POST', path, body }, COMMAND_API.cancelCommand.answer);
  context.terminal.out(call.isJson ? JSON.stringify(answer) : toldLine(answer));
};

interface RetryFlags extends KeyFlags {
  readonly fresh?: boolean;
  readonly prompt?: string;
}

const retry = async (context: CliContext, runId: string, flags: RetryFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const { prompt, idempotencyKey } = flags;
  const body = { prompt, conversation: flags.fresh === true ? 'new' : undefined };
  const answer = await call.api.call(
    { method: 'POST', path: runPath(runId, 'retry'), body, idempotencyKey },
    COMMAND_API.retryRun.answer,
  );
  if (call.isJson) return context.terminal.out(JSON.stringify(answer));
  context.terminal.out(
    `${answer.runId} queued in ${answer.sessionId}; it does the work of ${runId} once more`,
  );
  context.terminal.note(`watch it with: fleetlog run watch ${answer.runId}`);
};

const KEY = [
  '--idempotency-key <key>',
  'the same key and content are one command, however often it is sent',
] as const;

/** Registers the commands about one run on `fleetlog run`. */
export const registerRunTelling = (run: Command, context: CliContext): void => {
  withStackFlags(run.command('steer'))
    .description(
      'Say something to the turn that runs; what its program cannot take during a turn is the next turn',
    )
    .argument('<run>')
    .argument('[words...]')
    .option('--or-fail', 'do not make a turn of it: let it fail')
    .option(...KEY)
    .addHelpText('after', '\nExample:\n  fleetlog run steer run_01… "leave the currency table alone"')
    .action((runId: string, words: string[], flags: SteerFlags) =>
      say(context, { type: 'steer', runId, words }, flags),
    );
  withStackFlags(run.command('turn'))
    .description('Queue a further turn of the run, done when the ones before it are')
    .argument('<run>')
    .argument('[prompt...]')
    .option(...KEY)
    .action((runId: string, words: string[], flags: KeyFlags) =>
      say(context, { type: 'turn', runId, words }, flags),
    );
  withStackFlags(run.command('interrupt'))
    .description(
      'End the turn that runs; the run goes on with its next turn, or ends as cancelled when there is none',
    )
    .argument('<run>')
    .option('--reason <text>', 'why, for the record')
    .option('--then <prompt>', 'what to do instead, as the next turn')
    .option(...KEY)
    .action((runId: string, flags: InterruptFlags) => interrupt(context, runId, flags));
  withStackFlags(run.command('commands'))
    .description('What a run was told, and what became of it')
    .argument('<run>')
    .option('--after <n>', 'only those after this number')
    .option('--limit <n>', '1 to 100')
    .action((runId: string, flags: ListFlags) => list(context, runId, flags));
  withStackFlags(run.command('take-back'))
    .description('Take a command back that no runner was told of yet')
    .argument('<run>')
    .argument('<command>')
    .option('--reason <text>', 'why, for the record')
    .action((runId: string, commandId: string, flags: StackFlags & { readonly reason?: string }) =>
      takeBack(context, { runId, commandId }, flags),
    );
  withStackFlags(run.command('retry'))
    .description('Do the work of an ended run once more, as a new run of its session')
    .argument('<run>')
    .option('--fresh', 'in a new conversation of the program')
    .option('--prompt <text>', 'instead of the prompt of the ended run')
    .option(...KEY)
    .action((runId: string, flags: RetryFlags) => retry(context, runId, flags));
};
