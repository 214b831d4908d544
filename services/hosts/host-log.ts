// The host aggregate on its log: commands are decided against the folded history and appended to TRANSITIONS.
import type { CommandHandler } from '#libs/commands/command-handler.ts';
import { createCommandHandler } from '#libs/commands/handle-command.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { historyOf } from '#streams/entry.ts';
import { decodeHostEvent, encodeHostEvent } from '#streams/host-codec.ts';
import type { HostCommand, HostEvent } from '#streams/host.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';
import type { HostState } from './host-state.policy.ts';
import { hostDecider, type HostRejection } from './host.decider.ts';

/** A host, and on whose behalf something is done to it. */
export interface HostTarget {
  readonly boundary: Boundary;
  readonly host: string;
  readonly actor: string;
}

/** Decides and appends; see libs/commands. */
export type HostLog = CommandHandler<HostTarget, HostCommand, HostEvent, HostState, HostRejection>;

/** The event of an entry; undefined: of a newer version, passed over. Throws `HOST_UNREADABLE` (never): nothing is decided from a history that is not understood. */
const decodeEntry = (entry: StoredEntry): HostEvent | undefined =>
  historyOf(decodeHostEvent(entry), entry, 'HOST_UNREADABLE')?.event;

/** Builds the handler; `log` is that of TRANSITIONS. */
export const createHostLog = (parts: {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly ids: Ids;
}): HostLog =>
  createCommandHandler<HostTarget, HostCommand, HostEvent, HostState, HostRejection>({
    ...parts,
    decider: hostDecider,
    subjectOf: ({ boundary, host }) => aggregateSubject(boundary, 'host', host),
    encode: (event, { target, id, now }) =>
      encodeHostEvent(event, {
        boundary: target.boundary,
        id,
        source: '/service/hosts',
        timeMs: now,
        actor: target.actor,
        correlation: target.host,
      }),
    decodeEntry,
  });
