// Host — starts and stops the runners of agents on one machine, as it is instructed (COMMANDS), and reports what becomes of them through
// its durable buffer (EVENTS). Decides nothing about which agents run (see lifecycle), and does no turns (see runner). One process a
// data directory; its runners are processes of their own and outlive it, unless they are told not to.
import { aborted } from '#libs/service/aborted.ts';
import { ok } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import { identifyProcess } from '#libs/processes/process-identity.ts';
import { stopProcess } from '#libs/processes/stop-process.ts';
import { sweepMarked } from '#libs/processes/marked-processes.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Loop, ServiceContext } from '#libs/service/context.ts';
import { defineService, type Service, type Started } from '#libs/service/define-service.ts';
import { consumerLoop } from '#libs/service/loops.ts';
import { ACK_WAIT_MS, hostConsumerName } from '#streams/consumers.ts';
import { isHostInstruction, type HostInstructionName } from '#streams/host-instructions.ts';
import { decodeInstruction, type Instruction } from '#streams/instruction-codec.ts';
import { spawnIdSchema } from '#streams/ids.ts';
import { findRunners } from './find-runners.ts';
import { HostConfig } from './host-config.ts';
import { createHostProcess, type HostProcess, type HostSurroundings } from './host-process.ts';
import { readJournal } from './journal.ts';
import { SPAWN_MARK } from './launch.ts';
import { announceHost } from './presence.ts';

type Context = ServiceContext<HostConfig>;
type HostInstruction = Extract<Instruction, { readonly name: HostInstructionName }>;

const MOST_INSTRUCTIONS = 64;
/** In the drain, for delivering what is buffered. */
const DELIVERY_MS = 2000;
/** In the drain, for runners that are to end with the host. */
const END_MS = 6000;
const UNKNOWN_KILL_MS = 3000;

const isOfHost = (instruction: Instruction): instruction is HostInstruction =>
  isHostInstruction(instruction.name);

const decode = (entry: StoredEntry): HostInstruction => {
  const reading = decodeInstruction(entry);
  if (reading.kind === 'known' && isOfHost(reading)) return reading;
  const why = reading.kind === 'problem' ? reading.problem : `${entry.subject} is not known to this host`;
  throw new Fault({ code: 'INSTRUCTION_UNREADABLE', retry: 'never', message: why });
};

const instructionLoop = (context: Context, { boundary, supervisor, deadLetters }: HostProcess): Loop => {
  const name = hostConsumerName(boundary, context.config.name);
  return consumerLoop(context, {
    name,
    queue: context.queue('COMMANDS', name),
    decode,
    // A shutdown must not pass the spawn that it is about.
    lane: ({ data }) => data.spawnId,
    handle: async (instruction) => {
      if (instruction.name === 'agent-spawn') await supervisor.takeSpawn(instruction.data);
      else await supervisor.takeShutdown(instruction.data);
      return ok;
    },
    deadLetters,
    limits: { maxInHand: MOST_INSTRUCTIONS, width: MOST_INSTRUCTIONS, ackWaitMs: ACK_WAIT_MS },
  });
};

/** Ends the runners of this host's mark that its journal does not know of. */
const endUnknown = async (context: Context, host: HostProcess): Promise<void> => {
  const { clock, config, logger } = context;
  for (const { pid, spawnId } of await findRunners(host.hostMark)) {
    if (spawnId !== undefined && host.supervisor.knows(spawnId)) continue;
    const identity = identifyProcess(pid);
    if (identity === undefined) continue;
    logger.warn('ending a runner that this host does not know of', { pid, spawnId });
    await stopProcess(identity, clock, UNKNOWN_KILL_MS);
    if (spawnId !== undefined) await sweepMarked(`${SPAWN_MARK}=${spawnId}`, clock, UNKNOWN_KILL_MS);
    const known = spawnIdSchema.safeParse(spawnId);
    const reason = 'its spawn id is not among those that run by the journal of this host';
    await host.reporter.write(
      'unknown-agent-stopped',
      {
        host: config.name,
        pid,
        spawnId: known.success ? known.data : null,
        agent: null,
        reason,
        stoppedAt: clock.now(),
      },
      { id: `${host.bootId}.unknown.${pid}.${identity.started}`.replaceAll(/[^A-Za-z0-9.-]/g, '-') },
    );
  }
};

const unknownLoop = (context: Context, host: HostProcess): Loop => ({
  name: 'unknown-runners',
  run: async (signal) => {
    while (!signal.aborted) {
      await context.clock.sleep(context.config.unknownMs, signal);
      if (!signal.aborted) await endUnknown(context, host);
    }
  },
});

/** Ends the process when the host can no longer be trusted: what it has in hand is in its journal. */
const integrityLoop = ({ logger }: Context, { failed }: HostProcess): Loop => ({
  name: 'integrity',
  run: async (signal) => {
    if (signal.aborted) return;
    const failing = failed.catch((error: unknown) => {
      logger.fatal('the host cannot go on', { error });
      throw error instanceof InvariantBroken ? error : new InvariantBroken(String(error));
    });
    await Promise.race([aborted(signal), failing]);
  },
});

const recover = async (context: Context, host: HostProcess): Promise<void> => {
  const { entries, unreadable, outdated } = readJournal(host.outbox, context.clock.now());
  for (const key of unreadable) context.logger.error('unreadable entry in the journal', { key });
  if (outdated.length > 0) await host.reporter.note(outdated);
  const found = new Map((await findRunners(host.hostMark)).map(({ spawnId, pid }) => [spawnId, pid]));
  await host.supervisor.recover(entries, (spawnId) => {
    const pid = found.get(spawnId);
    return pid === undefined ? undefined : identifyProcess(pid);
  });
  await endUnknown(context, host);
  context.logger.info('host is ready', { runners: host.supervisor.size, found: found.size });
};

const start = async (context: Context, host: HostProcess): Promise<Started> => {
  const { config, logger, checks } = context;
  if (host.cgroups.problem !== undefined)
    logger.info('runners have no control groups', { why: host.cgroups.problem });
  await recover(context, host);
  checks.add('runners', () => ({ ok: true, detail: `${host.supervisor.size} of ${config.capacity}` }));
  return {
    stop: async () => {
      if (config.onStop === 'end') await host.supervisor.endAll(END_MS);
      host.supervisor.leave();
      const { undelivered } = await host.outbox.close({ drainMs: DELIVERY_MS });
      if (undelivered > 0) logger.warn('reports stay in the buffer for the next process', { undelivered });
    },
  };
};

/** The service, given the surroundings of its process. */
export const createHostService = (surroundings: HostSurroundings): Service<HostConfig> => {
  const processes = new WeakMap<Context, HostProcess>();
  const processOf = (context: Context): HostProcess => {
    const known = processes.get(context) ?? createHostProcess(context, surroundings);
    processes.set(context, known);
    return known;
  };
  return defineService({
    name: 'host',
    config: HostConfig,
    start: (context) => start(context, processOf(context)),
    loops: (context) => {
      const host = processOf(context);
      return [
        instructionLoop(context, host),
        { name: 'presence', run: (signal) => announceHost(context, host, signal) },
        unknownLoop(context, host),
        integrityLoop(context, host),
      ];
    },
  });
};
