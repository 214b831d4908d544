// What a turn is told while it is in hand: words for its program, and to end it. Each command is dealt with once, under the claim it is for,
// and what became of it is reported; what comes before the claim is known, or before the program runs, waits. Ends no program (turn.ts).
import type { CommandFailure } from '#streams/commands.ts';
import type { InterruptInstruction, SteerInstruction } from '#streams/instructions.ts';
import type { ReportWriter, TurnScope } from './report-writer.ts';

/** What a program says to words. */
export type SteerAnswer =
  | { readonly kind: 'taken' }
  | { readonly kind: 'refused'; readonly code: CommandFailure; readonly message: string };

/** Gives words to the program; undefined: it takes none during a turn. */
export type Steer = ((text: string, commandId: string) => Promise<SteerAnswer>) | undefined;

export type TurnCommand =
  | { readonly kind: 'steer'; readonly data: SteerInstruction }
  | { readonly kind: 'interrupt'; readonly data: InterruptInstruction };

interface Parts {
  readonly writer: ReportWriter;
  readonly clock: { now(): number };
  /** The turn is to be ended; false: it is ending already. */
  readonly interrupt: () => boolean;
  readonly onFatal: (error: unknown) => void;
}

/** What a program says that takes none. */
export const STEER_UNSUPPORTED: SteerAnswer = {
  kind: 'refused',
  code: 'STEER_UNSUPPORTED',
  message: 'the program takes no words during a turn',
};

export class TurnCommands {
  readonly #parts: Parts;
  readonly #seen = new Set<string>();
  readonly #early: TurnCommand[] = [];
  readonly #words: SteerInstruction[] = [];
  #scope: TurnScope | undefined;
  #steer: { readonly give: Steer } | undefined;
  #isOver = false;
  /** Reports under way to the disk: the end of the turn is told after them. */
  #telling: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Takes a command; one that comes again, or is for another claim, changes nothing. */
  take(command: TurnCommand): void {
    const { commandId, fence } = command.data;
    if (this.#scope === undefined) return void this.#early.push(command);
    if (this.#isOver || fence !== this.#scope.fence || this.#seen.has(commandId)) return;
    this.#seen.add(commandId);
    if (command.kind === 'steer') return this.#giveOrKeep(command.data);
    if (this.#parts.interrupt()) this.#tell(() => this.#acknowledge(commandId));
  }

  /** The claim is known. */
  claimed(scope: TurnScope): void {
    this.#scope = scope;
    for (const command of this.#early.splice(0)) this.take(command);
  }

  /** The program runs. */
  started(give: Steer): void {
    this.#steer = { give };
    for (const words of this.#words.splice(0)) this.#giveOrKeep(words);
  }

  /** The program has ended: nothing is told any more. Resolves when all reports are on disk. */
  async ended(): Promise<void> {
    this.#isOver = true;
    await this.#telling;
  }

  #giveOrKeep(words: SteerInstruction): void {
    const steer = this.#steer;
    if (steer === undefined) return void this.#words.push(words);
    const { commandId, text } = words;
    this.#tell(async () => {
      const answer = (await steer.give?.(text, commandId)) ?? STEER_UNSUPPORTED;
      // What ended meanwhile ends its commands by itself.
      if (answer.kind === 'taken') return this.#acknowledge(commandId);
      return this.#refuse(commandId, answer);
    });
  }

  /** One after another: words reach the program in their order. */
  #tell(work: () => Promise<void>): void {
    this.#telling = this.#telling.then(work).catch((error: unknown) => this.#parts.onFatal(error));
  }

  async #acknowledge(commandId: string): Promise<void> {
    const { writer, clock } = this.#parts;
    if (this.#scope === undefined) return;
    const payload = { commandId, acknowledgedAt: clock.now() };
    const id = `${this.#scope.turnId}.ack.${commandId}`;
    await writer.write(this.#scope, 'command-acknowledged', payload, { id });
  }

  async #refuse(
    commandId: string,
    { code, message }: Extract<SteerAnswer, { readonly kind: 'refused' }>,
  ): Promise<void> {
    const { writer, clock } = this.#parts;
    if (this.#scope === undefined) return;
    const said = { commandId, state: 'failed' as const, code, message: message.slice(0, 1000) };
    const id = `${this.#scope.turnId}.refused.${commandId}`;
    await writer.write(this.#scope, 'command-finished', { ...said, finishedAt: clock.now() }, { id });
  }
}
