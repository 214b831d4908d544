// Asks for the run of one turn, for as long as nobody answers, and keeps it afterwards. What an answer means is turn-machine.policy.ts's;
// that the request is in the journal before it is made is seen to here.
import { LeaseKeeper } from './lease-keeper.ts';
import type { RunsAnswer } from './runs-client.ts';
import type { JournalEntry } from './turn-journal.ts';
import type { Claim, TurnEvent } from './turn-machine.policy.ts';
import type { TurnParts } from './turn-parts.ts';

/**
 * `asked-for`: an earlier process asked for its claim, and started nothing; `cut-short`: the same, but a power cut may hide that it had
 * started its program.
 */
export type TurnOrigin = 'new' | 'asked-for' | 'cut-short';

/** Between two requests for the same claim while nobody answers. */
const CLAIM_AGAIN_MS = 1000;

export class TurnClaim {
  readonly #parts: TurnParts;
  readonly #entry: JournalEntry;
  readonly #origin: TurnOrigin;
  /** While nobody answers. */
  #waiting: AbortController | undefined;
  #isOver = false;
  #sentAtMs = 0;

  constructor(parts: TurnParts, entry: JournalEntry, origin: TurnOrigin) {
    this.#parts = parts;
    this.#entry = entry;
    this.#origin = origin;
  }

  /** The turn is over: nothing is waited for any more. */
  end(): void {
    this.#isOver = true;
    // With a reason, or the platform makes an error with a stack for it.
    this.#waiting?.abort('over');
  }

  /** Resolves with what came of it; undefined: it is not wanted any more. */
  async ask(isWanted: () => boolean): Promise<TurnEvent | undefined> {
    const { journal, runs, runnerId, clock, observe, reached } = this.#parts;
    const { claimId, instruction } = this.#entry;
    const { runId, commandId } = instruction;
    if (this.#origin === 'new') await journal.write(this.#entry);
    await reached('claim-intended');
    let isRepeat = this.#origin !== 'new';
    while (isWanted()) {
      this.#sentAtMs = clock.monotonicMs();
      const answer = await runs.ask('claim', { runId, runnerId, claimId, commandId });
      await reached('claim-answered');
      if (answer.kind === 'ok') {
        const { fence, leaseMs } = answer.result;
        return { kind: 'claim-granted', claim: { fence, leaseMs }, isRepeat };
      }
      if (answer.kind === 'refused') {
        observe({ kind: 'claim-refused', runId, code: answer.code });
        return { kind: 'claim-refused' };
      }
      observe({ kind: 'away', runId, message: answer.message });
      isRepeat = true;
      await this.#pause();
    }
    return undefined;
  }

  /** The claim may be an old one: asks whether it still stands. As {@link ask}. */
  async confirm(fence: number, isWanted: () => boolean): Promise<TurnEvent | undefined> {
    while (isWanted()) {
      this.#sentAtMs = this.#parts.clock.monotonicMs();
      const answer = await this.#renew(fence);
      if (answer.kind === 'ok') return { kind: 'renewed', cancelRequested: answer.result.cancelRequested };
      if (answer.kind === 'refused') return { kind: 'renewal-refused' };
      await this.#pause();
    }
    return undefined;
  }

  /** Renews it in time from now on; what comes of that is told. */
  keep({ fence, leaseMs }: Claim, tell: (event: TurnEvent) => void): LeaseKeeper {
    const { clock, limits } = this.#parts;
    return new LeaseKeeper({
      clock,
      times: { leaseMs, sentAtMs: this.#sentAtMs, killAfterMs: limits.killAfterMs },
      renew: () => this.#renew(fence),
      onRenewed: (cancelRequested) => tell({ kind: 'renewed', cancelRequested }),
      onRefused: () => tell({ kind: 'renewal-refused' }),
      onEnding: () => tell({ kind: 'lease-ending' }),
    });
  }

  async #pause(): Promise<void> {
    if (this.#isOver) return;
    this.#waiting ??= new AbortController();
    await this.#parts.clock.sleep(CLAIM_AGAIN_MS, this.#waiting.signal);
  }

  #renew(fence: number): Promise<RunsAnswer<{ leaseMs: number; cancelRequested: boolean }>> {
    const { runs, runnerId } = this.#parts;
    return runs.ask('renew', { runId: this.#entry.instruction.runId, runnerId, fence });
  }
}
