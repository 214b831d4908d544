// Hosts for one decision: from memory, and asked for where that has no word of one that should be there. Words reach the memory together and a
// little late (see lookout.ts): who is in need of a host does not wait for that.
import type { KeyValue } from '#libs/ports/key-value.ts';
import { hostPresenceKey } from '#streams/host-views.ts';
import type { HostChoice } from '#streams/policy-commands.ts';
import type { PolicyConfig } from '#streams/policy-config.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { HostBoard } from './host-board.ts';

export interface HostWords {
  /** The choice for a configuration. Faults: those of the bucket. */
  choose(boundary: Boundary, config: PolicyConfig): Promise<HostChoice>;
  /** Whether a host is heard of. Faults: those of the bucket. */
  isOnline(boundary: Boundary, host: string): Promise<boolean>;
}

export const createHostWords = ({
  presence,
  hosts,
}: {
  readonly presence: KeyValue;
  readonly hosts: HostBoard;
}): HostWords => {
  const hear = async (boundary: Boundary, names: readonly string[]): Promise<void> => {
    const keys = new Map(names.map((host) => [hostPresenceKey(boundary, host), host]));
    for (const [key, { value }] of await presence.getMany([...keys.keys()]))
      hosts.notePresence(boundary, keys.get(key) ?? '', value);
  };

  return {
    choose: async (boundary, config) => {
      const choice = hosts.choose(boundary, config);
      const unheard = choice.kind === 'host' ? [] : hosts.unheard(boundary);
      if (unheard.length === 0) return choice;
      await hear(boundary, unheard);
      return hosts.choose(boundary, config);
    },
    isOnline: async (boundary, host) => {
      if (!hosts.isOnline(boundary, host) && hosts.unheard(boundary).includes(host))
        await hear(boundary, [host]);
      return hosts.isOnline(boundary, host);
    },
  };
};
