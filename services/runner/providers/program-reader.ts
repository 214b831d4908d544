// What makes the lines of one kind of program into events, as an interface: one reader a turn, told every line in order. A reader
// does no I/O and never throws: what it cannot read becomes an `unknown-line` event that says why.
import type { ApprovalCall } from '#services/runner/approvals/asked-call.ts';
import type { Line } from './line-splitter.ts';
import type { ProviderEvent } from './provider.ts';
import type { QuotaWord, ResumePoint, TurnFacts, Usage } from './turn-facts.ts';

/** What a line says. */
export type LineMeaning =
  | { readonly kind: 'event'; readonly event: ProviderEvent }
  /** The program's word about its end; null: it goes on after all. */
  | {
      readonly kind: 'closing';
      readonly closing: TurnFacts['closing'];
      /** It has ended to be resumed when a person has allowed this call. */
      readonly parked?: ApprovalCall;
    }
  /** From now on it reads words on the channel of its protocol; `acknowledges`: and says of each when it has taken them up. */
  | { readonly kind: 'steerable'; readonly acknowledges: boolean }
  /** It has taken up the words (or the prompt) of this id. */
  | { readonly kind: 'taken-up'; readonly id: string }
  /** Usage of the turn that is not an event of its own. */
  | { readonly kind: 'usage'; readonly usage: Usage }
  /** A quota is used up, or (null) there is some of it after all. */
  | { readonly kind: 'quota'; readonly word: QuotaWord | null };

export interface ProgramReader {
  read(line: Line): readonly LineMeaning[];
  /** Asked once, at the end: what to remember of the program's conversation. `errorTail`: the end of its standard error. */
  session(errorTail: string): ResumePoint | 'gone' | undefined;
}

/** How a program is told something while it works. */
export interface WordsChannel {
  /**
   * `input`: its standard input, which stays open until it has said its result, and gets the prompt by the same encoding;
   * `own`: a pipe of its own, file descriptor 3, which it reads once it has said so.
   */
  readonly place: 'input' | 'own';
  /** One line. `id`: see {@link WordsChannel.idOf}. */
  readonly encode: (text: string, id: string) => string;
  /** What the program calls words by; default: as we do. */
  readonly idOf?: (id: string) => string;
}

/** How the lines of one kind of program are to be taken. */
export interface LineProtocol {
  readonly name: string;
  /** Longer lines are cut, and what is cut cannot be read. */
  readonly maxLineBytes: number;
  /** Neighbouring texts are pieces of one. */
  readonly isWordByWord: boolean;
  /** After its result the program must go within `lingerMs`; otherwise it may work on, and only silence and the deadline end it. */
  readonly goesAfterResult: boolean;
  /** How words reach the program while it works; absent: it takes none. */
  readonly words?: WordsChannel;
  createReader(order: { readonly workspace: string; readonly resume?: ResumePoint }): ProgramReader;
}

/** An event as the meaning of a line. */
export const event = (what: ProviderEvent): LineMeaning => ({ kind: 'event', event: what });
