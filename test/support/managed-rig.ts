// Managed agents on a real broker whose keepers die at a step. The lifecycle service runs in this process on ports that die with it; a step
// of it is an append: of a transition of a policy, or of an instruction. Runners are real processes that only live: their word is given for them.
import { identifyProcess, isAlive } from '#libs/processes/process-identity.ts';
import { sendSignal } from '#libs/processes/stop-process.ts';
import type { EventLog, NewEntry } from '#libs/ports/event-log.ts';
import type { Ports } from '#libs/service/context.ts';
import { systemClock } from '#libs/system/clock.ts';
import { lifecycle } from '#services/lifecycle/service.ts';
import { presenceKey, type Presence } from '#streams/buckets.ts';
import { jsonBytes } from '#streams/entry.ts';
import type { HostReportData } from '#streams/host-reports.ts';
import { decodeReport } from '#streams/report-codec.ts';
import { typedFilter } from '#streams/subjects.ts';
import type { TestBroker } from './broker.ts';
import { BOUNDARY, startControlPlane, type ControlPlane } from './control-plane.ts';
import { createMortalPorts, type MortalPorts } from './mortal-ports.ts';

/** Just before an append is sent, or just after it is stored, when nobody has learnt of it. */
export type Half = 'before' | 'after';

/** What becomes of whoever appends: called around each append, awaited. */
type AtAppend = (half: Half, entry: Pick<NewEntry, 'headers'>, die: () => void) => Promise<void> | void;

const trapped = (log: EventLog, at: (half: Half, entry: NewEntry) => Promise<void> | void): EventLog => ({
  ...log,
  append: async (entry) => {
    await at('before', entry);
    const outcome = await log.append(entry);
    await at('after', entry);
    return outcome;
  },
});

export interface MortalLifecycle extends AsyncDisposable {
  /** Errors that would have ended a process. */
  readonly fatal: readonly unknown[];
}

/** The lifecycle service; when it dies (as by kill -9, its connection with it) another instance is started at once. */
export const startMortalLifecycle = async (
  broker: TestBroker,
  atAppend: AtAppend,
): Promise<MortalLifecycle> => {
  const fatal: unknown[] = [];
  let current: ControlPlane | undefined;
  const follow = async (before: ControlPlane | undefined): Promise<void> => {
    fatal.push(...(before?.fatal ?? []));
    try {
      await before?.abandon();
      await next();
    } catch (error) {
      fatal.push(error);
    }
  };
  const next = async (): Promise<void> => {
    let mortal: MortalPorts | undefined;
    let self: ControlPlane | undefined;
    const die = (): void => {
      mortal?.kill();
      void follow(self);
    };
    const wrap = (ports: Ports): Ports => {
      const log: Ports['log'] = (stream) =>
        trapped(ports.log(stream), async (half, entry) => {
          await atAppend(half, entry, die);
          // What the dead were about to send is not sent.
          if (mortal?.isOver === true) await new Promise(() => undefined);
        });
      mortal = createMortalPorts({ ...ports, log });
      return mortal.ports;
    };
    self = await startControlPlane({ broker, services: [lifecycle], wrap });
    current = self;
  };
  await next();
  return {
    get fatal() {
      return [...fatal, ...(current?.fatal ?? [])];
    },
    [Symbol.asyncDispose]: async () => current?.stop(),
  };
};

type Started = HostReportData<'spawn-started'>;

const TTL_MS = 2000;
const BEAT_MS = 500;

/** Gives the word of every runner that a host has reported as started, as long as its process lives. `reached`: before and after the first. */
export const speakForRunners = async (
  ports: Ports,
  reached: (step: 'spawned' | 'announced', started: Started) => void,
  signal: AbortSignal,
): Promise<void> => {
  const speak = async (started: Started): Promise<void> => {
    const { spawnId, agent, host, pid } = started;
    const identity = identifyProcess(pid);
    reached('spawned', started);
    if (identity === undefined) return;
    for (let words = 0; isAlive(identity) && !signal.aborted; words += 1) {
      const now = systemClock.now();
      const word: Presence = {
        agent,
        runnerId: `${agent}@${host}`,
        providers: ['exec'],
        version: 'test',
        startedAt: now,
        seenAt: now,
        buffered: 0,
        spawnId,
        host,
        active: 0,
      };
      const value = jsonBytes(word);
      // The broker may be away: it says so again.
      await ports
        .bucket('presence')
        .put(presenceKey(BOUNDARY, agent), value, { ttlMs: TTL_MS })
        .catch(() => undefined);
      if (words === 0) reached('announced', started);
      await systemClock.sleep(BEAT_MS, signal);
    }
  };
  const subjects = [typedFilter('evt', { ...BOUNDARY, type: 'spawn-started' })];
  const speaking: Promise<void>[] = [];
  for await (const entry of ports.log('EVENTS').replay({ subjects, follow: true, signal })) {
    const reading = decodeReport(entry);
    if (reading.kind === 'known' && reading.name === 'spawn-started') speaking.push(speak(reading.data));
  }
  await Promise.all(speaking);
};

/** As by kill -9. */
export const killRunner = ({ pid }: Started): void => void sendSignal(pid, 'SIGKILL');
