// What the control endpoint asks of the other parts of a runner, as interfaces. A part that is absent is refused with a code
// (`MAIL_UNAVAILABLE` …): nothing is answered that nobody has decided. Does not say how anything is stored or sent.
import type { AgentWord } from '#services/runner/providers/turn-facts.ts';
import type { TurnScope } from '#services/runner/report-writer.ts';
import type { ProviderName } from '#streams/run.ts';

/** The turn on whose behalf something is asked: what its token stands for. */
export interface ControlTurn extends TurnScope {
  readonly provider: ProviderName;
  /** Aborted when the turn is over, or the run is not ours any more: whoever waits for something answers at once. */
  readonly signal: AbortSignal;
}

/** The answer of a part: done, or a "no" with its reason. Faults are thrown. */
export type PartAnswer<Result> =
  | { readonly kind: 'ok'; readonly result: Result }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string };

/** A reply that the agent owes. */
export interface OwedReply {
  readonly messageId: string;
  readonly from: string;
  readonly subject: string | null;
  readonly sentAt: number;
  readonly deliveredAt: number;
  /** When it was in the prompt of a turn; null: the agent has not seen it yet. */
  readonly injectedAt: number | null;
}

/** What the agent owes, as far as this runner knows. */
export interface ObligationSnapshot {
  /** False: nothing was ever heard of it, which is not the same as owing nothing. */
  readonly ready: boolean;
  readonly revision: number;
  /** Epoch ms; 0: never. */
  readonly refreshedAt: number;
  /** Oldest first. */
  readonly owed: readonly OwedReply[];
}

interface ObligationsPart {
  /** From memory: synchronous, never throws, never waits for anything. */
  current(): ObligationSnapshot;
}

interface OutgoingMail {
  /** Made by the asker, so that a repeat is the same message. */
  readonly messageId: string;
  readonly to: string;
  readonly subject: string | null;
  readonly body: string;
  readonly needsReply: boolean;
  readonly priority: 'normal' | 'high';
}

interface OutgoingReply {
  readonly messageId: string;
  readonly replyTo: string;
  readonly body: string;
  readonly needsReply: boolean;
}

/** `queued`: the control plane is away; it is on this disk and goes out later, once. */
interface Posted {
  readonly messageId: string;
  readonly state: 'sent' | 'queued';
}

/** A message of the agent's mailbox. */
interface InboxMessage {
  readonly messageId: string;
  readonly threadId: string;
  readonly from: string;
  readonly kind: 'mail' | 'nudge' | 'notice';
  readonly subject: string | null;
  readonly body: string;
  readonly needsReply: boolean;
  readonly replyTo: string | null;
  readonly sentAt: number;
  /** `unread`: in no prompt so far. */
  readonly state: 'unread' | 'injected' | 'answered';
}

export interface MailPart {
  send(turn: ControlTurn, mail: OutgoingMail): Promise<PartAnswer<Posted>>;
  reply(turn: ControlTurn, reply: OutgoingReply): Promise<PartAnswer<Posted>>;
  /** Newest last; at most `limit`. */
  inbox(limit: number): readonly InboxMessage[];
  /** What the turn has brought to its agent that asks for a reply and has none from here. From memory. */
  owedIn(turnId: string): readonly BroughtMail[];
}

/** A message that a turn has brought, and that the agent has not answered. */
interface BroughtMail {
  readonly messageId: string;
  readonly from: string;
  readonly subject: string | null;
  /** When it came to this machine, epoch ms. */
  readonly storedAt: number;
}

/** On this machine's disk. */
export interface Kept {
  readonly state: 'kept';
}

export interface TurnsPart {
  /** What an agent says about the work of its turn; the last word counts. Resolves when it is on disk. */
  signalDone(turn: ControlTurn, word: AgentWord): Promise<PartAnswer<Kept>>;
}

/** A tool call that somebody may have to allow. */
export interface ApprovalCall {
  /** The program's own id of the call; the same at every repeat. Null: it has none. */
  readonly callId: string | null;
  readonly tool: string;
  readonly input: unknown;
}

/**
 * `none`: no rule is about it, the program's own rules decide. `defer`: the program is to end, and asks again for the same call when
 * it is resumed. `allow`: with this input, where there is one.
 */
export type ApprovalDecision =
  | { readonly decision: 'none' }
  | { readonly decision: 'allow'; readonly input?: unknown; readonly message: string }
  | { readonly decision: 'deny'; readonly message: string }
  | { readonly decision: 'defer' };

/** What a person said. `input`: as asked, or what the person put in its place. */
type AskedAnswer =
  | { readonly isAllowed: true; readonly input: unknown; readonly message: string }
  | { readonly isAllowed: false; readonly why: string; readonly message: string };

export interface ApprovalsPart {
  /** Whether tool calls are to be asked about before they are made; false: the program is given no such hook. */
  readonly isAsked: boolean;
  /** About a call that the program is about to make. Waits for nobody. */
  decide(turn: ControlTurn, call: ApprovalCall): Promise<ApprovalDecision>;
  /** Asks a person and waits, for days maybe, or until `signal` aborts. */
  ask(
    turn: ControlTurn,
    call: ApprovalCall & { readonly question?: string },
    signal: AbortSignal,
  ): Promise<AskedAnswer>;
}

/** Everything that the endpoint can offer. */
export interface ControlParts {
  readonly obligations?: ObligationsPart;
  readonly mail?: MailPart;
  readonly turns?: TurnsPart;
  readonly approvals?: ApprovalsPart;
}
