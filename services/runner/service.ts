// Runner — drives one agent's program: takes its instructions (COMMANDS), claims runs from their owner, does turns in workspace
// folders and reports what happens through its durable buffer (EVENTS). Does not decide transitions (see runs). One process a data directory.
import { aborted } from '#libs/service/aborted.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Loop, ServiceContext } from '#libs/service/context.ts';
import { defineService, type Service, type Started } from '#libs/service/define-service.ts';
import { productVersion } from '#libs/service/product-version.ts';
import { consumerLoop } from '#libs/service/loops.ts';
import { ACK_WAIT_MS, runnerConsumerName } from '#streams/consumers.ts';
import { CONTRACT_VERSION } from '#streams/contract-version.ts';
import { decodeInstruction, type Instruction } from '#streams/instruction-codec.ts';
import { isHostInstruction, type HostInstructionName } from '#streams/host-instructions.ts';
import { machineFacts } from './machine-facts.ts';
import { mailLoops } from './mailbox/mail-loops.ts';
import { announcePresence } from './presence.ts';
import { RunnerConfig } from './runner-config.ts';
import type { TurnCommand } from './turn-commands.ts';
import {
  boundaryOf,
  createRunnerProcess,
  type RunnerProcess,
  type RunnerSurroundings,
} from './runner-process.ts';

type Context = ServiceContext<RunnerConfig>;

/** Instructions in hand at once: as many as its durable consumer hands out. */
const MOST_INSTRUCTIONS = 64;
/** Of the drain, for delivering what is buffered. */
const DELIVERY_MS = 2000;

type RunnerInstruction = Exclude<Instruction, { readonly name: HostInstructionName }>;
const isOfRunner = (instruction: Instruction): instruction is RunnerInstruction =>
  !isHostInstruction(instruction.name);

const decode = (entry: StoredEntry): RunnerInstruction => {
  const reading = decodeInstruction(entry);
  if (reading.kind === 'known' && isOfRunner(reading)) return reading;
  const why = reading.kind === 'problem' ? reading.problem : `${entry.subject} is not known to this runner`;
  throw new Fault({ code: 'INSTRUCTION_UNREADABLE', retry: 'never', message: why });
};

const instructionLoop = (context: Context, { runner, deadLetters }: RunnerProcess): Loop => {
  const { config } = context;
  const name = runnerConsumerName(boundaryOf(config), config.agent);
  return consumerLoop(context, {
    name,
    queue: context.queue('COMMANDS', name),
    decode,
    // A cancel must pass the turns that wait for their slot; words keep their order.
    lane: ({ name: what, data }) => (what === 'turn' ? `turn.${data.commandId}` : `${what}.${data.runId}`),
    handle: async (instruction) => {
      if (instruction.name === 'turn') return runner.takeTurn(instruction.data);
      if (instruction.name === 'cancel') return runner.takeCancel(instruction.data);
      if (instruction.name === 'answer-approval') return runner.takeAnswer(instruction.data);
      return runner.takeCommand({ kind: instruction.name, data: instruction.data } as TurnCommand);
    },
    deadLetters,
    limits: { maxInHand: MOST_INSTRUCTIONS, width: MOST_INSTRUCTIONS, ackWaitMs: ACK_WAIT_MS },
  });
};

const presenceLoop = (
  context: Context,
  { runner, runs, outbox, runnerId, providers }: RunnerProcess,
): Loop => {
  const { clock, config, hooks } = context;
  const facts = {
    runnerId,
    providers: [...providers],
    version: productVersion(),
    contract: CONTRACT_VERSION,
    startedAt: clock.now(),
    slots: config.concurrency,
    labels: [...config.labels],
    ...(config.spawnId !== undefined && { spawnId: config.spawnId }),
    ...(config.host !== undefined && { host: config.host }),
    ...(config.account !== undefined && { account: config.account }),
  };
  const active = (): number => runner.active;
  const machine = machineFacts({ name: config.machine, workspaceRoot: config.workspaceRoot });
  const parts = { clock, runs, outbox, hooks: hooks.buffer };
  const whenBegun = (listener: () => void): void => runner.whenBegun(listener);
  const onLate = (): void => runner.doubtLeases();
  const options = { ...parts, active, whenBegun, onLate, machine, everyMs: config.announceMs, facts };
  return { name: 'presence', run: (signal) => announcePresence(options, signal) };
};

/** Ends the process when the runner can no longer be trusted: what it has in hand is in its journal. */
const integrityLoop = ({ logger }: Context, { failed }: RunnerProcess): Loop => ({
  name: 'integrity',
  run: async (signal) => {
    if (signal.aborted) return;
    const failing = failed.catch((error: unknown) => {
      logger.fatal('the runner cannot go on', { error });
      throw error instanceof InvariantBroken ? error : new InvariantBroken(String(error));
    });
    await Promise.race([aborted(signal), failing]);
  },
});

const start = async (context: Context, process: RunnerProcess): Promise<Started> => {
  const { runner, outbox, workspaces, control, mail, closePrograms } = process;
  const { config, logger, checks } = context;
  // First of all: a program that is started must find it.
  await control.start();
  const { swept, lost, claims, unreadable } = await runner.recover();
  if (swept + lost.length + claims.length > 0)
    logger.warn('cleared up after an earlier process', {
      swept,
      lost: lost.map(({ instruction }) => instruction.runId),
      claims: claims.map(({ instruction }) => instruction.runId),
    });
  for (const { key, problem } of unreadable)
    logger.error('unreadable entry in the journal', { key, problem });
  for (const { name, verdict } of await workspaces.tidy())
    logger.info('took a workspace away', { name, reason: verdict.reason });
  checks.add('buffer', () => {
    const { pending, parked, unreachableFailures: failures, unreachableReason: reason } = outbox.status();
    const why = reason === null ? '' : `: ${reason}`;
    return {
      ok: failures === 0,
      detail: `${pending} waiting, ${parked} refused, ${failures} failures in a row${why}`,
    };
  });
  mail.obligations.start();
  // The drain of the loops waits for claims under way, so stopping begins with it and not after it.
  let stopping: Promise<void> | undefined;
  const stopTurns = (): Promise<void> => (stopping ??= runner.stop(config.finishMs));
  context.signal.addEventListener('abort', () => void stopTurns(), { once: true });
  return {
    stop: async () => {
      await stopTurns();
      await closePrograms();
      // Intake ends before the buffer does: what a hook or an agent says last is on disk by then, and is delivered.
      await control.stop();
      mail.obligations.stop();
      const { undelivered } = await outbox.close({ drainMs: DELIVERY_MS });
      if (undelivered > 0) logger.warn('reports stay in the buffer for the next process', { undelivered });
    },
  };
};

/** The service, given the surroundings of its process. */
export const createRunnerService = (surroundings: RunnerSurroundings): Service<RunnerConfig> => {
  const processes = new WeakMap<Context, RunnerProcess>();
  const processOf = (context: Context): RunnerProcess => {
    const known = processes.get(context) ?? createRunnerProcess(context, surroundings);
    processes.set(context, known);
    return known;
  };
  return defineService({
    name: 'runner',
    config: RunnerConfig,
    start: (context) => start(context, processOf(context)),
    loops: (context) => {
      const process = processOf(context);
      return [
        instructionLoop(context, process),
        presenceLoop(context, process),
        integrityLoop(context, process),
        ...mailLoops(context, process.mail, process.deadLetters),
      ];
    },
  });
};
