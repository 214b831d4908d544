// Words to a program that is driven by lines, on the channel of its protocol. They are given while the program works: once it has said its
// result, or is being ended, they come too late. A program that reads words only when it has said so gets a moment to say it. Of one that
// says when it has taken words up it is known which it has not; mail, which must not get lost, is given to such programs only.
import type { Clock } from '#libs/ports/clock.ts';
import { STEER_UNSUPPORTED, type SteerAnswer, type WordsAnswer } from '#services/runner/turn-commands.ts';
import type { WordsChannel } from './program-reader.ts';
import type { TurnProcess } from './turn-process.ts';

/** How long words wait for a program that has just begun to say that it reads them. */
const ANNOUNCE_MS = 2000;

const TAKEN: SteerAnswer = { kind: 'taken' };
const OVER: SteerAnswer = {
  kind: 'refused',
  code: 'TURN_OVER',
  message: 'the program has said its result, or is being ended',
};

interface Parts {
  readonly process: Pick<TurnProcess, 'write' | 'writeWords' | 'endInput' | 'endWords'>;
  readonly clock: Clock;
  readonly prompt: string;
  /** Of this turn alone. */
  readonly promptId: string;
}

export class LineSteering {
  readonly #channel: WordsChannel | undefined;
  readonly #parts: Parts;
  /** While words wait for the program to say that it reads them. */
  #waiting: AbortController | undefined;
  /** By the program's own name for them: words that it has not taken up. */
  readonly #given = new Map<string, (answer: SteerAnswer) => void>();
  #isAnnounced: boolean;
  /** It says when it has taken up words. Where it need not announce itself, it has said so of its prompt. */
  readonly #acknowledges = Promise.withResolvers<boolean>();
  #isSilent = false;
  #isOver = false;

  /** Gives the prompt, where standard input stays open. */
  constructor(channel: WordsChannel | undefined, parts: Parts) {
    this.#channel = channel;
    this.#parts = parts;
    this.#isAnnounced = channel?.place === 'input';
    if (channel?.place === 'input')
      parts.process.write(channel.encode(parts.prompt, this.#idOf(parts.promptId)));
  }

  /** The program reads words from now on. */
  announced(acknowledges: boolean): void {
    this.#isAnnounced = true;
    this.#isSilent = !acknowledges;
    this.#acknowledges.resolve(acknowledges);
    this.#waiting?.abort('announced');
  }

  /** It has taken up what it calls this. */
  takenUp(id: string): void {
    this.#given.get(id)?.(TAKEN);
    if (id === this.#idOf(this.#parts.promptId)) this.#acknowledges.resolve(true);
  }

  /** Too late from now on; a program that reads on need not wait for more. What it has been given, it may still take up. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#acknowledges.resolve(false);
    // With a reason, or the platform makes an error with a stack for it.
    this.#waiting?.abort('over');
    if (this.#channel?.place === 'input') this.#parts.process.endInput();
    else this.#parts.process.endWords();
  }

  /** The program has ended, and all it said has been read. */
  gone(): void {
    this.end();
    for (const answer of this.#given.values()) answer(OVER);
  }

  /** `given` to a program that says what it takes up, and what became of them later; of another, `taken` once it has been given them. */
  async give(text: string, id: string): Promise<WordsAnswer> {
    if (this.#channel === undefined) return STEER_UNSUPPORTED;
    await this.#announcement();
    if (this.#isOver) return OVER;
    if (!this.#isAnnounced) return STEER_UNSUPPORTED;
    const takenUp = this.#write(this.#channel, text, id);
    if (this.#isSilent) return TAKEN;
    // Whether it is one that says so is known at its end at the latest.
    const outcome = this.#acknowledges.promise.then((acknowledges) => (acknowledges ? takenUp : TAKEN));
    return { kind: 'given', outcome };
  }

  /** `taken` only when the program has said so; one that says no such thing is not given them. */
  async deliver(text: string, id: string): Promise<SteerAnswer> {
    if (this.#channel === undefined) return STEER_UNSUPPORTED;
    await this.#announcement();
    if (!this.#isAnnounced && !this.#isOver) return STEER_UNSUPPORTED;
    const acknowledges = await this.#acknowledges.promise;
    if (this.#isOver) return OVER;
    if (!acknowledges) return STEER_UNSUPPORTED;
    return this.#write(this.#channel, text, id);
  }

  /** Resolves when the program reads words, or will not, or has had its moment to say so. */
  async #announcement(): Promise<void> {
    if (this.#isAnnounced || this.#isOver) return;
    this.#waiting ??= new AbortController();
    await this.#parts.clock.sleep(ANNOUNCE_MS, this.#waiting.signal);
  }

  #idOf(id: string): string {
    return this.#channel?.idOf?.(id) ?? id;
  }

  /** Resolves when the program takes them up, or has ended without. */
  #write(channel: WordsChannel, text: string, id: string): Promise<SteerAnswer> {
    const { process } = this.#parts;
    const named = this.#idOf(id);
    const answer = new Promise<SteerAnswer>((resolve) => this.#given.set(named, resolve));
    const line = channel.encode(text, named);
    if (channel.place === 'input') process.write(line);
    else process.writeWords(line);
    return answer.finally(() => this.#given.delete(named));
  }
}
