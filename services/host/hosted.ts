// The runners that a host has now, and the spawns that are over for good; in memory, as its journal says.
import type { HostPresence } from '#streams/host-views.ts';
import type { IntendedEntry, RunningEntry } from './journal.ts';

/** A runner from the intention to start it until its end is reported. */
export interface Hosted {
  entry: IntendedEntry | RunningEntry;
  wasForced: boolean;
  /** Its end was seen and is being reported: what the journal says next of it is that it is over, and nothing after that. */
  isEnding: boolean;
  cancelKill: () => void;
  /** Resolved when its end is reported. */
  readonly gone: PromiseWithResolvers<void>;
}

export class HostedRunners {
  readonly #hosted = new Map<string, Hosted>();
  /** Spawns that are over, or were refused: none of them is started again. */
  readonly #over = new Set<string>();

  get size(): number {
    return this.#hosted.size;
  }

  all(): readonly Hosted[] {
    return [...this.#hosted.values()];
  }

  of(spawnId: string): Hosted | undefined {
    return this.#hosted.get(spawnId);
  }

  isOver(spawnId: string): boolean {
    return this.#over.has(spawnId);
  }

  /** The spawn under which an agent is here. */
  spawnOf(agent: string): string | undefined {
    return this.all().find(({ entry }) => entry.agent === agent)?.entry.spawnId;
  }

  /** As the presence of the host shows them. */
  shown(): HostPresence['runners'] {
    return this.all().flatMap(({ entry }) => {
      if (entry.state !== 'running') return [];
      const { spawnId, policy, agent, process, killAt } = entry;
      const { pid, startedAt } = process;
      return [{ spawnId, policy, agent, pid, state: killAt === null ? 'running' : 'stopping', startedAt }];
    });
  }

  hold(entry: Hosted['entry']): Hosted {
    const hosted: Hosted = {
      entry,
      wasForced: false,
      isEnding: false,
      cancelKill: () => undefined,
      gone: Promise.withResolvers<void>(),
    };
    this.#hosted.set(entry.spawnId, hosted);
    return hosted;
  }

  /** It is over and reported. */
  release(hosted: Hosted): void {
    hosted.cancelKill();
    this.#hosted.delete(hosted.entry.spawnId);
    this.#over.add(hosted.entry.spawnId);
    hosted.gone.resolve();
  }

  /** It is never started. */
  bar(spawnId: string): void {
    this.#over.add(spawnId);
  }
}
