// The runners of a host: starts them once each, watches them, stops them gracefully and then by force, and takes over what an earlier
// process of the host has left. What it does is in its journal first; what came of it is reported in the same transaction as its change.
//
// (nothing) ─spawn→ intended ─started→ running ─exit→ over          refused → over
//                       └─ killed here: the next start finds the process by its mark and takes it over, or reports that nothing runs
// running ─shutdown→ running, with a time to be killed at ─exit→ over
import { isAlive, type ProcessIdentity } from '#libs/processes/process-identity.ts';
import { sendSignal } from '#libs/processes/stop-process.ts';
import type { ShutdownInstruction, SpawnInstruction } from '#streams/host-instructions.ts';
import type { HostEnd } from '#streams/host-reports.ts';
import type { HostPresence } from '#streams/host-views.ts';
import { HostedRunners, type Hosted } from './hosted.ts';
import { noteOf, type IntendedEntry, type JournalEntry, type RunningEntry } from './journal.ts';
import type { Launched } from './launch.ts';
import { reportEnded, reportRefused, reportStarted, SWEEP_MS, UNSEEN, type Exit } from './spawn-reports.ts';
import { expiredRefusal, type Refusal } from './spawn-rules.policy.ts';
import type { SupervisorParts } from './supervisor-parts.ts';

export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #runners = new HostedRunners();
  #isLeaving = false;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#runners.size;
  }

  /** The spawn under which an agent is here. */
  spawnOf(agent: string): string | undefined {
    return this.#runners.spawnOf(agent);
  }

  /** As the presence of the host shows them. */
  shown(): HostPresence['runners'] {
    return this.#runners.shown();
  }

  knows(spawnId: string): boolean {
    return this.#runners.of(spawnId) !== undefined;
  }

  /** Takes up what an earlier process has left. `findProcess` is asked for those whose process may be there. */
  async recover(
    entries: readonly JournalEntry[],
    findProcess: (spawnId: string) => ProcessIdentity | undefined,
  ): Promise<void> {
    for (const entry of entries) {
      if (entry.state === 'over') this.#runners.bar(entry.spawnId);
      else if (entry.state === 'intended') await this.#recoverIntended(entry, findProcess(entry.spawnId));
      else this.#adopt(entry);
    }
  }

  /** Resolves when the journal answers for the spawn: from then on the instruction can go. */
  async takeSpawn(spawn: SpawnInstruction): Promise<void> {
    const { spawnId, policy, agent, commandId } = spawn;
    const { reporter, reached, brokerUrl, beforeSpawn } = this.#parts;
    await reached('spawn-taken');
    if (this.#runners.isOver(spawnId) || this.knows(spawnId)) return;
    await beforeSpawn();
    const refusal = this.#parts.refusalOf(spawn);
    if (refusal !== undefined) return this.#refuse(spawn, refusal, { isOver: true });
    const entry: IntendedEntry = { state: 'intended', spawnId, policy, agent, commandId, brokerUrl };
    const hosted = this.#runners.hold(entry);
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
    if (this.#runners.isOver(spawnId)) return;
    const hosted = this.#runners.of(spawnId);
    if (hosted === undefined) {
      const message = `no runner of spawn ${spawnId} is here; it will not be started any more`;
      return this.#refuse(shutdown, { code: 'SPAWN_UNKNOWN', message }, { isOver: true });
    }
    await this.#stop(hosted, { afterMs: graceful ? timeoutMs : 0, why: 'asked' });
  }

  /** Ends every runner, for a host that is to leave nothing behind. */
  async endAll(afterMs: number): Promise<void> {
    const all = this.#runners.all().filter(({ entry }) => entry.state === 'running');
    await Promise.all(all.map((hosted) => this.#stop(hosted, { afterMs, why: 'host-stopped' })));
    await Promise.all(all.map(({ gone }) => gone.promise));
  }

  /** Nothing more is watched or killed by this process; runners go on. */
  leave(): void {
    this.#isLeaving = true;
    for (const { cancelKill } of this.#runners.all()) cancelKill();
  }

  #release(hosted: Hosted): void {
    this.#runners.release(hosted);
    this.#parts.onChange();
  }

  async #started(hosted: Hosted, { pid, started }: ProcessIdentity): Promise<void> {
    const { reached, clock, cgroups, onChange } = this.#parts;
    const { spawnId, policy, agent, commandId, brokerUrl } = hosted.entry;
    cgroups.admit(spawnId, pid);
    const entry: RunningEntry = {
      state: 'running',
      spawnId,
      policy,
      agent,
      commandId,
      brokerUrl,
      process: { pid, started, startedAt: clock.now() },
      killAt: null,
      wasAsked: false,
    };
    hosted.entry = entry;
    await reportStarted(this.#parts, entry);
    onChange();
    await reached('spawn-reported');
  }

  async #refuse(
    about: Pick<SpawnInstruction, 'spawnId' | 'policy' | 'agent' | 'commandId'>,
    refusal: Refusal,
    { isOver }: { readonly isOver: boolean },
  ): Promise<void> {
    if (isOver) this.#runners.bar(about.spawnId);
    await reportRefused(this.#parts, about, { ...refusal, isOver });
  }

  async #recoverIntended(entry: IntendedEntry, found: ProcessIdentity | undefined): Promise<void> {
    if (found === undefined) {
      // It may have been started and have ended: a second start under one id is what must not be.
      const message = 'the host was restarted while it started the runner; nothing of it runs';
      return this.#refuse(entry, { code: 'SPAWN_FAILED', message }, { isOver: true });
    }
    const hosted = this.#runners.hold(entry);
    await this.#started(hosted, found);
    this.#watch(hosted, found);
  }

  #adopt(entry: RunningEntry): void {
    const hosted = this.#runners.hold(entry);
    this.#watch(hosted, entry.process);
    if (entry.killAt !== null) {
      sendSignal(entry.process.pid, 'SIGTERM');
      this.#armKill(hosted, Math.max(0, entry.killAt - this.#parts.clock.now()));
    } else if (entry.brokerUrl !== this.#parts.brokerUrl)
      // It would look for the broker where it is no more.
      void this.#stop(hosted, { afterMs: SWEEP_MS, why: 'broker-moved' }).catch(this.#parts.onFatal);
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
    { afterMs, why }: { readonly afterMs: number; readonly why: 'asked' | HostEnd },
  ): Promise<void> {
    const { clock, reporter, reached, onChange } = this.#parts;
    const { entry } = hosted;
    // A note that it is to stop, written behind the end, would have the next host find it and report its end once more.
    if (entry.state !== 'running' || hosted.isEnding) return;
    const killAt = Math.min(entry.killAt ?? Number.MAX_SAFE_INTEGER, clock.now() + afterMs);
    const stopping: RunningEntry = {
      ...entry,
      killAt,
      ...(why === 'asked' ? { wasAsked: true } : { endedFor: why }),
    };
    hosted.entry = stopping;
    await reporter.note([noteOf(stopping)]);
    await reached('shutdown-noted');
    if (!this.knows(entry.spawnId)) return;
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

  async #reportExit(hosted: Hosted, exit: Exit): Promise<void> {
    const { entry, wasForced } = hosted;
    if (entry.state !== 'running' || hosted.isEnding) return;
    hosted.isEnding = true;
    const { reached } = this.#parts;
    await reached('runner-exited');
    await reportEnded(this.#parts, entry, { ...exit, wasForced });
    this.#release(hosted);
    await reached('exit-reported');
  }
}
