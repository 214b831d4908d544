// Watches from inside the broker which runners are heard of, and holds the record against it at each transition: whoever is written down as gone
// was not to be seen at some time after it had spoken. A look that is older than its first word proves nothing. Costs the fleet no time.
import { parseJson } from '#streams/entry.ts';
import { decodePolicyEvent } from '#streams/policy-codec.ts';
import type { World } from './simulated-world.ts';

export interface RunnerWords {
  /** What the record has said against what was to be seen. */
  readonly faults: readonly string[];
}

export const watchRunnerWords = ({ broker }: World): RunnerWords => {
  const faults: string[] = [];
  /** By key of the presence: the start whose runner is heard of. */
  const heard = new Map<string, string>();
  const spoke = new Set<string>();
  const wasSilent = new Set<string>();
  broker.observeBucket('presence', ({ kind, key, value }) => {
    const before = heard.get(key);
    const said = kind === 'put' ? (parseJson(value) as { readonly spawnId?: string }).spawnId : undefined;
    if (before !== undefined && before !== said) wasSilent.add(before);
    heard.delete(key);
    if (said === undefined) return;
    heard.set(key, said);
    spoke.add(said);
  });
  broker.observeStream('TRANSITIONS', (entry) => {
    const reading = decodePolicyEvent(entry);
    if (reading.kind !== 'known' || !('cause' in reading.event) || reading.event.cause !== 'vanished') return;
    const { policy, spawnId } = reading.event;
    if (spawnId !== null && spoke.has(spawnId) && !wasSilent.has(spawnId))
      faults.push(`${policy}: ${spawnId} was taken for gone and never fell silent (entry ${entry.seq})`);
  });
  return { faults };
};
