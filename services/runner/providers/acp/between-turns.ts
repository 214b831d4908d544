// What an agent says while no turn is under way: kept for the next turn, within bounds. An agent that begins to work by itself then must be
// ended, because no run answers for what it does. Does no I/O.
import { unknownLine } from '#services/runner/providers/json-line.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import { SILENT_UPDATES } from './acp-update.ts';

/** Events kept; of more only the number is told. */
const MOST = 64;

export class BetweenTurns {
  #kept: ProviderEvent[] = [];
  #left = 0;

  keep(event: ProviderEvent): void {
    if (this.#kept.length < MOST) this.#kept.push(event);
    else this.#left += 1;
  }

  /** Takes an update; true: the agent has begun to work, and must be ended. */
  update(kind: string, line: string): boolean {
    // Its mode is what the settings asked for, or told with the next prompt.
    if (SILENT_UPDATES.has(kind) || kind === 'current_mode_update') return false;
    const isWork = kind === 'tool_call';
    this.keep(
      unknownLine(
        line,
        isWork ? 'it began to work between two turns, and was ended' : 'said between two turns',
      ),
    );
    return isWork;
  }

  /** Everything kept, once. */
  take(): readonly ProviderEvent[] {
    const left = this.#left;
    const kept = this.#kept;
    this.#kept = [];
    this.#left = 0;
    if (left === 0) return kept;
    return [...kept, { kind: 'output', stream: 'stderr', text: `and ${left} more between two turns\n` }];
  }
}
