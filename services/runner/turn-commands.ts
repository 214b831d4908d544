// What a turn is told while it is in hand: words for its program, and to end it. Each command is dealt with once, under the claim it is for,
// and what became of it is reported; what comes before the claim is known, or before the program runs, waits. Ends no program (turn.ts).
import type { CommandFailure } from '#streams/commands.ts';
import type { InterruptInstruction, SteerInstruction } from '#streams/instructions.ts';
import type { ReportWriter, TurnScope } from './report-writer.ts';

/** What a program says to words. */
export type SteerAnswer =
  | { readonly kind: 'taken' }
  | { readonly kind: 'refused'; readonly code: CommandFailure; readonly message: string };

/** `given`: it has them; that it has taken them up, or has ended without, it says later. */
export type WordsAnswer = SteerAnswer | { readonly kind: 'given'; readonly outcome: Promise<SteerAnswer> };

/** Gives words to the program; undefined: it takes none during a turn. */
export type Steer = ((text: string, commandId: string) => Promise<WordsAnswer>) | undefined;

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

/** What has become of a command by its runner's report. */
type End =
  | { readonly state: 'completed' }
  | { readonly state: 'failed'; readonly code: CommandFailure; readonly message: string };

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
  /** Words whose answer is awaited, and reports under way to the disk: the end of the turn is told after them. */
  readonly #open = new Set<Promise<void>>();

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
    await Promise.all(this.#open);
  }

  #giveOrKeep(words: SteerInstruction): void {
    const steer = this.#steer;
    if (steer === undefined) return void this.#words.push(words);
    const { commandId, text } = words;
    this.#tell(async () => {
      const answer = (await steer.give?.(text, commandId)) ?? STEER_UNSUPPORTED;
      if (answer.kind === 'refused') return this.#refuse(commandId, answer);
      await this.#acknowledge(commandId);
      // Of a program that says no more, they are done with its turn.
      if (answer.kind !== 'given') return;
      const outcome = await answer.outcome;
      if (outcome.kind === 'taken') await this.#finish(commandId, { state: 'completed' });
      else await this.#refuse(commandId, outcome);
    });
  }

  /** Words are given in their order; one that the program takes up late holds up no other. */
  #tell(work: () => Promise<void>): void {
    const told = work()
      .catch((error: unknown) => this.#parts.onFatal(error))
      .finally(() => this.#open.delete(told));
    this.#open.add(told);
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
    await this.#finish(commandId, { state: 'failed', code, message: message.slice(0, 1000) });
  }

  async #finish(commandId: string, end: End): Promise<void> {
    const { writer, clock } = this.#parts;
    if (this.#scope === undefined) return;
    const id = `${this.#scope.turnId}.${end.state === 'failed' ? 'refused' : 'done'}.${commandId}`;
    const said = { commandId, ...end, finishedAt: clock.now() };
    await writer.write(this.#scope, 'command-finished', said, { id });
  }
}
