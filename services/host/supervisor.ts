// The runners of a host: starts them once each, watches them, stops them gracefully and then by force, and takes over what an earlier
// process of the host has left. What it does is in its journal first; what came of it is reported in the same transaction as its change.
//
// (nothing) ─spawn→ intended ─started→ running ─exit→ over          refused → over
//                       └─ killed here: the next start finds the process by its mark and takes it over, or reports that nothing runs
// running ─shutdown→ running, with a time to be killed at ─exit→ over
import type { Clock } from '#libs/ports/clock.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import { isAlive, type ProcessIdentity } from '#libs/processes/process-identity.ts';
import { sendSignal } from '#libs/processes/stop-process.ts';
import { sweepMarked } from '#libs/processes/marked-processes.ts';
import type { ShutdownInstruction, SpawnInstruction } from '#streams/host-instructions.ts';
import type { HostPresence } from '#streams/host-views.ts';
import type { Cgroups } from './cgroups.ts';
import type { HostReporter } from './host-reporter.ts';
import { noteOf, type IntendedEntry, type JournalEntry, type RunningEntry } from './journal.ts';
import { SPAWN_MARK, type Launched } from './launch.ts';
import { expiredRefusal, type Refusal } from './spawn-rules.policy.ts';

/** Where a host may die; tests kill it there. */
export const HOST_STEPS = [
  'spawn-taken',
  'spawn-intended',
  'runner-started',
  'spawn-reported',
  'shutdown-taken',
  'shutdown-noted',
  'runner-asked',
  'runner-exited',
  'exit-reported',
] as const;
export type HostStep = (typeof HOST_STEPS)[number];

export interface SupervisorParts {
  readonly host: string;
  readonly brokerUrl: string;
  readonly clock: Clock;
  readonly redactor: Redactor;
  readonly reporter: HostReporter;
  readonly cgroups: Cgroups;
  /** Why the spawn is not done; undefined: nothing stands against it. */
  readonly refusalOf: (spawn: SpawnInstruction) => Refusal | undefined;
  readonly launch: (spawn: SpawnInstruction) => Promise<Launched>;
  /** The end of what the runner of an agent has written. */
  readonly lastWordsOf: (agent: string) => string;
  readonly lookMs: number;
  /** What a host tells of has changed. */
  readonly onChange: () => void;
  readonly onFatal: (error: unknown) => void;
  readonly reached: (step: HostStep) => Promise<void> | void;
}

/** For what a dead runner has left behind. */
const SWEEP_MS = 2000;

type Exit = Awaited<Launched['exited']>;
const UNSEEN: Exit = { code: null, signal: null };

interface Hosted {
  entry: IntendedEntry | RunningEntry;
  wasForced: boolean;
  cancelKill: () => void;
  readonly gone: PromiseWithResolvers<void>;
}

export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #hosted = new Map<string, Hosted>();
  /** Spawns that are over, or were refused: none of them is started again. */
  readonly #over = new Set<string>();
  #isLeaving = false;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#hosted.size;
  }

  /** The spawn under which an agent is here. */
  spawnOf(agent: string): string | undefined {
    return [...this.#hosted.values()].find(({ entry }) => entry.agent === agent)?.entry.spawnId;
  }

  /** As the presence of the host shows them. */
  shown(): HostPresence['runners'] {
    return [...this.#hosted.values()].flatMap(({ entry }) => {
      if (entry.state !== 'running') return [];
      const { spawnId, policy, agent, process, killAt } = entry;
      const { pid, startedAt } = process;
      return [{ spawnId, policy, agent, pid, state: killAt === null ? 'running' : 'stopping', startedAt }];
    });
  }

  knows(spawnId: string): boolean {
    return this.#hosted.has(spawnId);
  }

  /** Takes up what an earlier process has left. `findProcess` is asked for those whose process may be there. */
  async recover(
    entries: readonly JournalEntry[],
    findProcess: (spawnId: string) => ProcessIdentity | undefined,
  ): Promise<void> {
    for (const entry of entries) {
      if (entry.state === 'over') this.#over.add(entry.spawnId);
      else if (entry.state === 'intended') await this.#recoverIntended(entry, findProcess(entry.spawnId));
      else this.#adopt(entry);
    }
  }

  /** Resolves when the journal answers for the spawn: from then on the instruction can go. */
  async takeSpawn(spawn: SpawnInstruction): Promise<void> {
    const { spawnId, policy, agent, commandId } = spawn;
    const { reporter, reached, brokerUrl } = this.#parts;
    await reached('spawn-taken');
    if (this.#over.has(spawnId) || this.#hosted.has(spawnId)) return;
    const refusal = this.#parts.refusalOf(spawn);
    if (refusal !== undefined) return this.#refuse(spawn, refusal, { isOver: true });
    const entry: IntendedEntry = { state: 'intended', spawnId, policy, agent, commandId, brokerUrl };
    const hosted = this.#hold(entry);
    await reporter.note([noteOf(entry)]);
    await reached('spawn-intended');
    let launched: Launched;
    try {
      launched = await this.#parts.launch(spawn);
    } catch (error) {
      this.#release(hosted);
      const message = `the runner could not be started: ${error instanceof Error ? error.message : String(error)}`;
      return this.#refuse(spawn, { code: 'SPAWN_FAILED', message }, { isOver: true });
    }
    await reached('runner-started');
    await this.#started(hosted, launched.identity);
    void launched.exited.then((exit) => this.#onExit(hosted, exit));
  }

  /** Resolves when it is on disk that the runner is to stop. */
  async takeShutdown(shutdown: ShutdownInstruction): Promise<void> {
    const { spawnId, graceful, timeoutMs } = shutdown;
    const { clock, reached } = this.#parts;
    await reached('shutdown-taken');
    const expired = expiredRefusal(shutdown, clock.now());
    if (expired !== undefined) return this.#refuse(shutdown, expired, { isOver: false });
    if (this.#over.has(spawnId)) return;
    const hosted = this.#hosted.get(spawnId);
    if (hosted === undefined) {
      const message = `no runner of spawn ${spawnId} is here; it will not be started any more`;
      return this.#refuse(shutdown, { code: 'SPAWN_UNKNOWN', message }, { isOver: true });
    }
    await this.#stop(hosted, { afterMs: graceful ? timeoutMs : 0, wasAsked: true });
  }

  /** Ends every runner, for a host that is to leave nothing behind. */
  async endAll(afterMs: number): Promise<void> {
    const all = [...this.#hosted.values()].filter(({ entry }) => entry.state === 'running');
    await Promise.all(all.map((hosted) => this.#stop(hosted, { afterMs, wasAsked: false })));
    await Promise.all(all.map(({ gone }) => gone.promise));
  }

  /** Nothing more is watched or killed by this process; runners go on. */
  leave(): void {
    this.#isLeaving = true;
    for (const { cancelKill } of this.#hosted.values()) cancelKill();
  }

  #hold(entry: Hosted['entry']): Hosted {
    const hosted: Hosted = {
      entry,
      wasForced: false,
      cancelKill: () => undefined,
      gone: Promise.withResolvers<void>(),
    };
    this.#hosted.set(entry.spawnId, hosted);
    return hosted;
  }

  #release(hosted: Hosted): void {
    hosted.cancelKill();
    this.#hosted.delete(hosted.entry.spawnId);
    this.#over.add(hosted.entry.spawnId);
    hosted.gone.resolve();
    this.#parts.onChange();
  }

  async #started(hosted: Hosted, { pid, started }: ProcessIdentity): Promise<void> {
    const { reporter, reached, clock, host, cgroups, onChange } = this.#parts;
    const { spawnId, policy, agent, commandId, brokerUrl } = hosted.entry;
    cgroups.admit(spawnId, pid);
    const startedAt = clock.now();
    const entry: RunningEntry = {
      state: 'running',
      spawnId,
      policy,
      agent,
      commandId,
      brokerUrl,
      process: { pid, started, startedAt },
      killAt: null,
      wasAsked: false,
    };
    hosted.entry = entry;
    await reporter.write(
      'spawn-started',
      { spawnId, policy, agent, host, pid, startedAt },
      { id: `${spawnId}.started`, notes: [noteOf(entry)], causation: commandId },
    );
    onChange();
    await reached('spawn-reported');
  }

  async #refuse(
    about: Pick<SpawnInstruction, 'spawnId' | 'policy' | 'agent' | 'commandId'>,
    { code, message }: Refusal,
    { isOver }: { readonly isOver: boolean },
  ): Promise<void> {
    const { reporter, clock, host } = this.#parts;
    const { spawnId, policy, agent, commandId } = about;
    const refusedAt = clock.now();
    if (isOver) this.#over.add(spawnId);
    await reporter.write(
      'spawn-refused',
      { spawnId, policy, agent, host, code, message, refusedAt },
      {
        id: `${commandId}.refused`,
        causation: commandId,
        notes: isOver ? [noteOf({ state: 'over', spawnId, overAt: refusedAt })] : [],
      },
    );
  }

  async #recoverIntended(entry: IntendedEntry, found: ProcessIdentity | undefined): Promise<void> {
    if (found === undefined) {
      // It may have been started and have ended: a second start under one id is what must not be.
      const message = 'the host was restarted while it started the runner; nothing of it runs';
      return this.#refuse(entry, { code: 'SPAWN_FAILED', message }, { isOver: true });
    }
    const hosted = this.#hold(entry);
    await this.#started(hosted, found);
    this.#watch(hosted, found);
  }

  #adopt(entry: RunningEntry): void {
    const hosted = this.#hold(entry);
    this.#watch(hosted, entry.process);
    if (entry.killAt !== null) {
      sendSignal(entry.process.pid, 'SIGTERM');
      this.#armKill(hosted, Math.max(0, entry.killAt - this.#parts.clock.now()));
    } else if (entry.brokerUrl !== this.#parts.brokerUrl)
      // It would look for the broker where it is no more.
      void this.#stop(hosted, { afterMs: SWEEP_MS, wasAsked: false }).catch(this.#parts.onFatal);
  }

  /** A process that is not our child is looked at again and again. */
  #watch(hosted: Hosted, identity: ProcessIdentity): void {
    const { clock, lookMs } = this.#parts;
    const look = (): void => {
      if (this.#isLeaving) return;
      if (isAlive(identity)) clock.timer(lookMs, look, { keepAlive: false });
      else void this.#onExit(hosted, UNSEEN);
    };
    look();
  }

  async #stop(
    hosted: Hosted,
    { afterMs, wasAsked }: { readonly afterMs: number; readonly wasAsked: boolean },
  ): Promise<void> {
    const { clock, reporter, reached, onChange } = this.#parts;
    const { entry } = hosted;
    if (entry.state !== 'running') return;
    const killAt = Math.min(entry.killAt ?? Number.MAX_SAFE_INTEGER, clock.now() + afterMs);
    const stopping: RunningEntry = { ...entry, killAt, wasAsked: entry.wasAsked || wasAsked };
    hosted.entry = stopping;
    await reporter.note([noteOf(stopping)]);
    await reached('shutdown-noted');
    if (!this.#hosted.has(entry.spawnId)) return;
    if (isAlive(entry.process)) sendSignal(entry.process.pid, 'SIGTERM');
    await reached('runner-asked');
    this.#armKill(hosted, Math.max(0, killAt - clock.now()));
    onChange();
  }

  #armKill(hosted: Hosted, afterMs: number): void {
    const kill = (): void => {
      const { entry } = hosted;
      if (entry.state !== 'running' || !isAlive(entry.process)) return;
      hosted.wasForced = true;
      sendSignal(-entry.process.pid, 'SIGKILL');
      sendSignal(entry.process.pid, 'SIGKILL');
    };
    hosted.cancelKill();
    hosted.cancelKill = this.#parts.clock.timer(afterMs, kill, { keepAlive: true });
  }

  async #onExit(hosted: Hosted, exit: Exit): Promise<void> {
    if (this.#isLeaving) return;
    try {
      await this.#reportExit(hosted, exit);
    } catch (error) {
      this.#parts.onFatal(error);
    }
  }

  async #reportExit(hosted: Hosted, { code, signal }: Exit): Promise<void> {
    const { clock, reporter, reached, host, cgroups, redactor } = this.#parts;
    const { entry, wasForced } = hosted;
    if (entry.state !== 'running') return;
    await reached('runner-exited');
    const { spawnId, policy, agent, commandId, wasAsked } = entry;
    const { pid, startedAt } = entry.process;
    await sweepMarked(`${SPAWN_MARK}=${spawnId}`, clock, SWEEP_MS);
    cgroups.remove(spawnId);
    const words = redactor.text(this.#parts.lastWordsOf(agent)).value.slice(-2000);
    const exitedAt = clock.now();
    await reporter.write(
      'agent-exited',
      {
        spawnId,
        policy,
        agent,
        host,
        pid,
        startedAt,
        exitedAt,
        exitCode: code,
        signal,
        wasAsked,
        wasForced,
        lastWords: wasAsked ? '' : words,
      },
      {
        id: `${spawnId}.exited`,
        causation: commandId,
        notes: [noteOf({ state: 'over', spawnId, overAt: exitedAt })],
      },
    );
    this.#release(hosted);
    await reached('exit-reported');
  }
}
