// Watches a simulated fleet from inside its broker, at the moment of each write: judges every transition, tells and counts it, and sees whether a
// run is held by nobody for long. It sees all at once, whatever the faults; it changes nothing, and costs the fleet no time.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { isOpen } from '#services/runs/run-commands.policy.ts';
import { isEnded, isHeld, type Run } from '#services/runs/run-state.policy.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import { leaseKey } from '#streams/buckets.ts';
import { readEntry } from '#streams/catalogue.ts';
import { parseJson } from '#streams/entry.ts';
import type { RunEvent } from '#streams/run.ts';
import { BOUNDARY } from './control-plane.ts';
import type { World } from './simulated-world.ts';
import { TaskVerdict, type JudgedLimits } from './task-verdict.ts';

/** What an instance gets to find its feet. */
const SETTLED_MS = 2000;

const TASK_ENDS: ReadonlySet<string> = new Set(['completed', 'failed', 'blocked', 'cancelled']);

/** `fleetlog.run.claimed.v1` in short. */
export const shortType = (type: string): string => type.replace(/^fleetlog\./, '').replace(/\.v\d+$/, '');

const reachOf = ({ reach }: World, kind: string, headers: Readonly<Record<string, string>>): void =>
  reach.note(kind, shortType(headers['ce-type'] ?? ''));

/** Since when (monotonic ms) the owner of runs is up and reachable without a pause; undefined: it is not. */
const watchedSince = ({ up, clock, broker }: World, returnedMs: number): number | undefined => {
  if (broker.faults.isAway) return undefined;
  const first = Math.min(
    ...[...up].flatMap(({ service, sinceMs }) => (service === 'runs' ? [sinceMs + SETTLED_MS] : [])),
  );
  return first < clock.monotonicMs() ? Math.max(first, returnedMs) : undefined;
};

type Asked = Extract<RunEvent, { readonly type: 'fleetlog.run.approval-asked.v1' }>;

export class FleetWatch {
  readonly verdict: TaskVerdict;
  /** Called with each question that is asked. */
  onAsked: (asked: Asked) => void = () => undefined;
  readonly #world: World;
  readonly #orphanMs: number;
  readonly #runs = new Map<string, Run>();
  readonly #leases = new Set<string>();
  /** Runs that are held without a lease, each with the way to stop looking. */
  readonly #orphans = new Map<string, () => void>();
  readonly #broken: string[] = [];
  /** Questions that were settled. */
  readonly #settled = new Set<string>();
  readonly #instructions = new Set<string>();
  #returnedMs = 0;
  #onChange: () => void = () => undefined;

  /** `orphanMs`: how long a run may be held by nobody. */
  constructor(world: World, limits: JudgedLimits, orphanMs: number) {
    this.#world = world;
    this.#orphanMs = orphanMs;
    this.verdict = new TaskVerdict(limits);
    world.broker.faults.onReturn(() => {
      this.#returnedMs = world.clock.monotonicMs();
    });
    world.broker.observeStream('TRANSITIONS', (entry) => this.#take(entry));
    world.broker.observeStream('COMMANDS', ({ headers, body }) => {
      const { commandId = '' } = parseJson(body) as { readonly commandId?: string };
      // One cause instructs once, under whichever id.
      const cause = `${headers['ce-type']} ${headers['Fleet-Causation']} ${headers['Fleet-Correlation']} ${commandId}`;
      for (const one of [cause, headers['ce-id'] ?? '']) {
        if (this.#instructions.has(one)) this.#broken.push(`instruction ${one} was given twice`);
        this.#instructions.add(one);
      }
      reachOf(world, 'instruction', headers);
    });
    world.broker.observeStream('EVENTS', ({ headers, body }) => {
      reachOf(world, 'report', headers);
      if (headers['ce-type'] === 'fleetlog.report.refused.v1')
        world.reach.note('refusal', `report: ${(parseJson(body) as { readonly code: string }).code}`);
    });
    world.broker.observeStream('DEADLETTERS', ({ subject }) => {
      this.#broken.push(`a dead letter: ${subject}`);
    });
    world.broker.observeBucket('leases', ({ kind, key }) => {
      if (kind === 'put') this.#leases.add(key);
      else this.#leases.delete(key);
      const runId = key.split('.').at(-1) ?? '';
      this.#lookAfter(runId);
    });
  }

  /** Laws that were broken so far. */
  faults(): readonly string[] {
    return [...this.verdict.faults, ...this.#broken];
  }

  /** How everything that has not ended stands, for what happens to it now. */
  states(): readonly string[] {
    const runs = [...this.#runs.values()].filter(({ state }) => !isEnded(state));
    const tasks = this.verdict.states.filter((state) => !TASK_ENDS.has(state));
    return [...runs.map(({ state }) => `run ${state}`), ...tasks.map((state) => `task ${state}`)];
  }

  /** Resolves when all tasks and runs that there are have ended, or when a law is broken. */
  async ended(): Promise<void> {
    const isOver = (): boolean =>
      this.faults().length > 0 ||
      (this.verdict.states.every((state) => TASK_ENDS.has(state)) &&
        [...this.#runs.values()].every(({ state }) => isEnded(state)));
    while (!isOver())
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
      });
  }

  #take(entry: StoredEntry): void {
    const { tell, reach } = this.#world;
    const reading = readEntry(entry);
    const type = shortType(entry.headers['ce-type'] ?? '');
    const id = entry.subject.split('.').at(-1) ?? '';
    tell(`${entry.seq} ${type} ${id}`);
    const before = this.#stateOf(id);
    if (reading.kind === 'run') this.#takeRun(reading.data, entry.seq);
    this.verdict.take(entry);
    reach.note('transition', type);
    reach.note(reading.kind, `${before} ${type} ${this.#stateOf(id)}`);
    this.#onChange();
  }

  /** Laws of a run that its owner's own rules are to hold, judged by what is stored. */
  #takeRun(event: RunEvent, seq: number): void {
    const { runId, type } = event;
    const before = this.#runs.get(runId);
    if (before !== undefined && isEnded(before.state))
      this.#broken.push(`at ${seq} ${type} of ${runId}, which has ended`);
    if (before !== undefined && type === 'fleetlog.run.created.v1')
      this.#broken.push(`at ${seq} ${runId} is created again`);
    if (type === 'fleetlog.run.approval-asked.v1') this.onAsked(event);
    if (type === 'fleetlog.run.approval-answered.v1') {
      if (this.#settled.has(event.approvalId))
        this.#broken.push(`at ${seq} ${event.approvalId} is answered again`);
      this.#settled.add(event.approvalId);
    }
    const run = runDecider.evolve(before, event);
    if (run === undefined) return;
    this.#runs.set(runId, run);
    if (isEnded(run.state) && (run.open.length > 0 || run.commands.some(isOpen)))
      this.#broken.push(`at ${seq} ${runId} has ended and leaves something open`);
    this.#lookAfter(runId);
  }

  #stateOf(id: string): string {
    return this.#runs.get(id)?.state ?? this.verdict.judge.tasks.get(id)?.state ?? '-';
  }

  /** A run that is held has a lease, or somebody sees to it in time. */
  #lookAfter(runId: string): void {
    const run = this.#runs.get(runId);
    const isOrphan = run !== undefined && isHeld(run) && !this.#leases.has(leaseKey(BOUNDARY, runId));
    if (!isOrphan) {
      this.#orphans.get(runId)?.();
      this.#orphans.delete(runId);
    } else if (!this.#orphans.has(runId))
      this.#judgeAfter(runId, this.#world.clock.monotonicMs(), this.#orphanMs);
  }

  #judgeAfter(runId: string, sinceMs: number, waitMs: number): void {
    const { clock } = this.#world;
    const cancel = clock.timer(waitMs, () => {
      const watchedMs = watchedSince(this.#world, this.#returnedMs);
      const nowMs = clock.monotonicMs();
      const forMs = watchedMs === undefined ? 0 : nowMs - Math.max(sinceMs, watchedMs);
      if (forMs < this.#orphanMs) return this.#judgeAfter(runId, sinceMs, this.#orphanMs - forMs);
      this.#orphans.delete(runId);
      this.#broken.push(`${runId} is held by nobody for ${nowMs - sinceMs} ms`);
      this.#onChange();
    });
    this.#orphans.set(runId, cancel);
  }
}
