// Words to a program that is driven by lines, on the channel of its protocol. They are given while the program works: once it has said its
// result, or is being ended, they come too late. A program that reads words only when it has said so gets a moment to say it.
import type { Clock } from '#libs/ports/clock.ts';
import { STEER_UNSUPPORTED, type SteerAnswer } from '#services/runner/turn-commands.ts';
import type { WordsChannel } from './program-reader.ts';
import type { TurnProcess } from './turn-process.ts';

/** How long words wait for a program that has just begun to say that it reads them. */
const ANNOUNCE_MS = 2000;

const OVER: SteerAnswer = {
  kind: 'refused',
  code: 'TURN_OVER',
  message: 'the program has said its result, or is being ended',
};

interface Parts {
  readonly process: Pick<TurnProcess, 'write' | 'writeWords' | 'endInput' | 'endWords'>;
  readonly clock: Clock;
  readonly prompt: string;
}

export class LineSteering {
  readonly #channel: WordsChannel | undefined;
  readonly #parts: Parts;
  readonly #settled = new AbortController();
  #isAnnounced: boolean;
  #isOver = false;

  /** Gives the prompt, where standard input stays open. */
  constructor(channel: WordsChannel | undefined, parts: Parts) {
    this.#channel = channel;
    this.#parts = parts;
    this.#isAnnounced = channel?.place === 'input';
    if (channel?.place === 'input') parts.process.write(channel.encode(parts.prompt, null));
  }

  /** The program reads words from now on. */
  announced(): void {
    this.#isAnnounced = true;
    this.#settled.abort('announced');
  }

  /** Too late from now on; a program that reads on need not wait for more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // With a reason, or the platform makes an error with a stack for it.
    this.#settled.abort('over');
    if (this.#channel?.place === 'input') this.#parts.process.endInput();
    else this.#parts.process.endWords();
  }

  async give(text: string, commandId: string): Promise<SteerAnswer> {
    const { process, clock } = this.#parts;
    if (this.#channel === undefined) return STEER_UNSUPPORTED;
    if (!this.#isAnnounced && !this.#isOver) await clock.sleep(ANNOUNCE_MS, this.#settled.signal);
    if (this.#isOver) return OVER;
    if (!this.#isAnnounced) return STEER_UNSUPPORTED;
    const line = this.#channel.encode(text, commandId);
    if (this.#channel.place === 'input') process.write(line);
    else process.writeWords(line);
    return { kind: 'taken' };
  }
}
