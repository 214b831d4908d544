// Runners that have left and come back: the broker says that their connection has ended, and it was not made anew in time; or that it was made.
// Whoever lives here as a dispatcher is told at once, where the last word of an idle runner counts for many seconds. A hint: its next word counts.
import { Graces } from '#libs/service/graces.ts';
import type { ServedRequest } from '#libs/service/define-service.ts';
import { heard } from '#libs/service/heard.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { agentOfAdvisory, RUNNER_CONNECTIONS } from '#streams/broker-events.ts';

/** Told of agents by name. */
interface Travellers {
  readonly gone: (agent: string) => void;
  readonly back: (agent: string) => void;
}

export interface Departures {
  /** Tells until the signal aborts. */
  follow(told: Travellers, signal: AbortSignal): void;
  /** How the broker's news are heard; `group` is this instance's own. */
  news(group: string): readonly ServedRequest[];
}

/** `graceMs`: how long an ended connection may stay away. */
export const createDepartures = (clock: Clock, graceMs: number): Departures => {
  const listeners = new Set<Travellers>();
  const graces = new Graces(clock, graceMs, (agent) => {
    for (const { gone } of listeners) gone(agent);
  });
  const arrive = (agent: string): void => {
    graces.end(agent);
    for (const { back } of listeners) back(agent);
  };
  const { made, ended } = RUNNER_CONNECTIONS;
  return {
    follow: (told, signal) => {
      listeners.add(told);
      signal.addEventListener('abort', () => listeners.delete(told), { once: true });
    },
    news: (group) => {
      const ear = { group, read: agentOfAdvisory };
      return [
        heard({ ...ear, subject: made.heardAt }, arrive),
        heard({ ...ear, subject: ended.heardAt }, (agent) => graces.begin(agent)),
      ];
    },
  };
};
