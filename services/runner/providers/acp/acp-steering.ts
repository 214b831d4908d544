// Words to an agent while its prompt is under way. The protocol has no message for it: either what it does is cancelled and the words are the
// next prompt of the same turn, or they wait until the prompt is over and are that then. Whoever gave them is told once they are sent.
import { STEER_UNSUPPORTED, type SteerAnswer } from '#services/runner/turn-commands.ts';

export const ACP_STEERING = ['cancel', 'queue', 'none'] as const;
export type AcpSteering = (typeof ACP_STEERING)[number];

const OVER: SteerAnswer = { kind: 'refused', code: 'TURN_OVER', message: 'the turn was ending' };
const TAKEN: SteerAnswer = { kind: 'taken' };

export class AcpWordsWaiting {
  readonly #how: AcpSteering;
  #waiting: { readonly text: string; readonly answer: (answer: SteerAnswer) => void }[] = [];
  #isOver = false;

  constructor(how: AcpSteering) {
    this.#how = how;
  }

  /** Resolves when they are on their way to the agent, or will not be; `cancel` ends what it does now. */
  give(text: string, cancel: () => void): Promise<SteerAnswer> {
    if (this.#how === 'none') return Promise.resolve(STEER_UNSUPPORTED);
    if (this.#isOver) return Promise.resolve(OVER);
    return new Promise((answer) => {
      this.#waiting.push({ text, answer });
      if (this.#how === 'cancel') cancel();
    });
  }

  /** What waits, as one prompt; null: nothing does. */
  take(): string | null {
    const taken = this.#waiting;
    this.#waiting = [];
    for (const { answer } of taken) answer(TAKEN);
    return taken.length === 0 ? null : taken.map(({ text }) => text).join('\n\n');
  }

  /** No prompt follows any more. */
  end(): void {
    this.#isOver = true;
    for (const { answer } of this.#waiting) answer(OVER);
    this.#waiting = [];
  }
}
