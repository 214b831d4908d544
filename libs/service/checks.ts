// Named readiness checks: what a process needs to be useful, each with what is wrong and since when.
// A check is pushed by its owner (`set`) or asked when somebody looks (`add` with a probe); nothing polls.
import type { Clock } from '#libs/ports/clock.ts';

/** What a check says. */
export interface CheckState {
  readonly ok: boolean;
  /** One phrase for a person: what is so, or what is wrong. */
  readonly detail: string;
}

/** A check as reported by `/readyz`. */
export interface CheckReport extends CheckState {
  readonly name: string;
  /** For how long `ok` has had its present value, ms. */
  readonly sinceMs: number;
}

/** A check that its owner pushes. */
export interface PushedCheck {
  ok(detail?: string): void;
  failing(detail: string): void;
  remove(): void;
}

/** The checks of one service (or process); names are unique within it. */
export interface Checks {
  /** A check that starts as failing with `starting` and is then pushed by its owner. */
  push(name: string): PushedCheck;
  /** A check that is asked on each look; a throw or a rejection is a failing check. It must answer fast: it is given two seconds. */
  add(name: string, probe: () => CheckState | Promise<CheckState>): void;
}

/** All checks of a process. */
export interface CheckBoard {
  /** The checks of one owner; their names in the report are `<owner>.<name>`. */
  of(owner: string): Checks;
  /** Every check, by name. */
  report(): Promise<readonly CheckReport[]>;
}

const probeDeadlineMs = 2_000;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

type Probe = () => CheckState | Promise<CheckState>;

interface Entry {
  readonly probe: Probe;
  ok: boolean | undefined;
  sinceMs: number;
}

const ask = (probe: Probe, clock: Clock): Promise<CheckState> =>
  new Promise((resolve) => {
    const cancel = clock.timer(probeDeadlineMs, () =>
      resolve({ ok: false, detail: `no answer within ${probeDeadlineMs} ms` }),
    );
    const settle = (state: CheckState): void => {
      cancel();
      resolve(state);
    };
    const asked = async (): Promise<CheckState> => await probe();
    asked().then(settle, (error: unknown) => settle({ ok: false, detail: messageOf(error) }));
  });

/** An empty board. */
export const createCheckBoard = (clock: Clock): CheckBoard => {
  const entries = new Map<string, Entry>();

  const note = (entry: Entry, ok: boolean): void => {
    if (entry.ok === ok) return;
    entry.ok = ok;
    entry.sinceMs = clock.monotonicMs();
  };

  const put = (name: string, probe: Probe, ok?: boolean): Entry => {
    const entry: Entry = { probe, ok, sinceMs: clock.monotonicMs() };
    entries.set(name, entry);
    return entry;
  };

  const of = (owner: string): Checks => ({
    push: (name) => {
      const full = `${owner}.${name}`;
      let state: CheckState = { ok: false, detail: 'starting' };
      const entry = put(full, () => state, false);
      const set = (next: CheckState): void => {
        state = next;
        note(entry, next.ok);
      };
      return {
        ok: (detail = 'ok') => set({ ok: true, detail }),
        failing: (detail) => set({ ok: false, detail }),
        remove: () => {
          if (entries.get(full) === entry) entries.delete(full);
        },
      };
    },
    add: (name, probe) => void put(`${owner}.${name}`, probe),
  });

  const report = async (): Promise<readonly CheckReport[]> => {
    const reports = [...entries].map(async ([name, entry]) => {
      const { ok, detail } = await ask(entry.probe, clock);
      note(entry, ok);
      return { name, ok, detail, sinceMs: Math.round(clock.monotonicMs() - entry.sinceMs) };
    });
    const all = await Promise.all(reports);
    return all.sort((a, b) => a.name.localeCompare(b.name));
  };

  return { of, report };
};
