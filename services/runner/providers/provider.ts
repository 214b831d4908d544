// What drives one agent program, as an interface: a turn is started, tells what it does as events in order, and ends with facts.
// Deciding what the facts mean (turn-outcome.policy.ts), numbering, redacting and reporting are not a provider's business.
import type { SteerAnswer, WordsAnswer } from '#services/runner/turn-commands.ts';
import type { AskApproval } from '#services/runner/approvals/approval-desk.ts';
import type { ResumePoint, StopReason, TurnFacts, Usage } from './turn-facts.ts';

/** A step of a plan, as the program says it. */
interface PlanEntry {
  readonly content: string;
  readonly status: 'pending' | 'in-progress' | 'completed';
  readonly priority?: 'high' | 'medium' | 'low';
}

/** Something a program did or said. */
export type ProviderEvent =
  | { readonly kind: 'text' | 'reasoning'; readonly text: string }
  | { readonly kind: 'tool-started'; readonly callId: string; readonly name: string; readonly input: unknown }
  | {
      readonly kind: 'tool-finished';
      readonly callId: string;
      readonly output: string;
      readonly isError: boolean;
      readonly durationMs?: number;
    }
  | {
      readonly kind: 'file-changed';
      readonly path: string;
      readonly change: 'created' | 'changed' | 'deleted';
    }
  | { readonly kind: 'usage'; readonly usage: Usage }
  | {
      /** The program says which conversation of its own this is; `session-forked`: another one than it was asked to go on with. */
      readonly kind: 'session-bound' | 'session-forked';
      readonly providerSessionId: string;
      readonly requested: string | null;
    }
  | { readonly kind: 'session-mode'; readonly mode: string }
  | { readonly kind: 'plan'; readonly entries: readonly PlanEntry[] }
  | {
      /** The conversation that was asked for is not there, so the program was started anew with a summary of it. */
      readonly kind: 'session-primed';
      readonly requested: string;
      readonly observed: string | null;
      readonly turns: number;
      readonly characters: number;
    }
  | { readonly kind: 'output'; readonly stream: 'stdout' | 'stderr'; readonly text: string }
  | {
      readonly kind: 'unknown-line';
      readonly line: string;
      readonly reason: string;
      /** Bytes of the line that were left out of `line`. */
      readonly cutBytes: number;
    };

/** Limits of a turn, in ms and bytes. */
export interface TurnLimits {
  /** Hard limit of the whole turn. */
  readonly turnTimeoutMs: number;
  /** The turn ends when the program prints nothing for this long; 0: never. */
  readonly silenceMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly killAfterMs: number;
  /** How long a program may live on after it has said its result. */
  readonly lingerMs: number;
}

/** One turn to do. */
export interface TurnOrder {
  /** Absolute path; exists. The program is started in it. */
  readonly workspace: string;
  readonly prompt: string;
  /** Program and arguments. */
  readonly program: readonly string[];
  /** The whole environment of the program. */
  readonly environment: Readonly<Record<string, string>>;
  /** A variable of `environment` whose value no other turn has: what bears it at the end of the turn is ended with it. */
  readonly mark: string;
  readonly limits: TurnLimits;
  /** The conversation that `program` goes on with; absent: it begins a new one, or has none. */
  readonly resume?: ResumePoint;
  /** Asks a person about a call; the program must be kept waiting meanwhile. The runner gives it at the start of the program. */
  readonly askApproval?: AskApproval;
  /**
   * Asked when the agent ends its turn by itself: why it has to go on, as a further prompt, or null. For programs without a hook of that
   * kind (`acp`).
   */
  readonly stopReason?: () => string | null;
  /** Servers of tools that the program is to use, where it is told of them by the provider (`acp`). */
  readonly toolServers?: readonly ToolServer[];
}

/** A server of tools (Model Context Protocol) that the program starts itself and talks to by its input and output. */
interface ToolServer {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the environment that the program gives it. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Takes the events of a turn, one at a time. Resolves when there is room for the next: a provider stops reading its program until then.
 * A rejection ends the turn (the events can no longer be kept).
 */
export type EventSink = (event: ProviderEvent) => Promise<void>;

/** A turn under way. */
export interface ProviderTurn {
  /**
   * Resolves when the program runs and has said what it is, where it says so, or could not be started (`pid` null). Never rejects.
   * `programVersion`: as it says itself.
   */
  readonly started: Promise<{ readonly pid: number | null; readonly programVersion?: string }>;
  /** Ends the program and all it has started: SIGTERM, then SIGKILL after `killAfterMs` (default: that of the limits). The first reason counts. */
  stop(reason: StopReason, killAfterMs?: number): void;
  /** The program waits for a person: silence and the deadline do not count until what it gives is called. Absent: it has no such limits. */
  hold?(): () => void;
  /**
   * Gives the program words while it works, in the order of the calls. Resolves when it has them, or will not have them; never rejects.
   * Absent: it takes none.
   */
  steer?(text: string, commandId: string): Promise<WordsAnswer>;
  /**
   * The same for words that must not get lost, such as mail: `taken` only when the program has said that it has taken them up, under this
   * id. A refusal: it says no such thing, or it has ended before it did. One at a time. Absent: it takes none.
   */
  deliver?(text: string, id: string): Promise<SteerAnswer>;
  /** Resolves when the program has exited, every event has been taken and nothing it started is left. Never rejects. */
  readonly ended: Promise<TurnFacts>;
}

/** A kind of program that turns can be done with. */
export interface Provider {
  readonly name: string;
  start(order: TurnOrder, sink: EventSink): ProviderTurn;
  /** Ends the programs that are kept between turns, once no turn is under way. Never rejects. */
  close?(): Promise<void>;
}
