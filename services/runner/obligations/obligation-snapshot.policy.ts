// What an agent owes, from what the control plane has projected and from the agent's own replies that the projection does not show
// yet. Pure. Reads nothing and keeps nothing (obligations.ts).

/** A reply that the agent owes. */
export interface OwedReply {
  readonly messageId: string;
  readonly from: string;
  readonly subject: string | null;
  readonly sentAt: number;
  readonly deliveredAt: number;
  /** When it was in the prompt of a turn; null: in none so far. */
  readonly injectedAt: number | null;
}

/** What the control plane has projected for the agent. */
export interface OwedValue {
  /** Sequence in MESSAGES of the last entry folded into it: which of two values is the newer one. 0: nothing was ever folded. */
  readonly seq: number;
  /** Grows with every write of the projection; 0: there is no value. */
  readonly revision: number;
  /** Oldest first. */
  readonly owed: readonly OwedReply[];
}

/** A reply of the agent's own that closes an obligation here before the projection shows it. */
export interface OwnReply {
  /** The message that was answered. */
  readonly messageId: string;
  readonly replyId: string;
  /** Sequence in MESSAGES; null: not known, it waits in the buffer or went out from there. */
  readonly seq: number | null;
  readonly repliedAt: number;
  /** Since when it is known to have left this machine; null: it may still wait in the buffer. */
  readonly settledAt: number | null;
  /** Whether the projection has shown the obligation. */
  readonly wasListed: boolean;
}

/** A read of what is known now; frozen all through. */
export interface ObligationSnapshot {
  /** False: nothing was ever heard of it, which is not the same as owing nothing. */
  readonly ready: boolean;
  /** True: this process has not heard it from the control plane, or could not at the last try. */
  readonly stale: boolean;
  readonly revision: number;
  /** When it was last heard, epoch ms; 0: never. */
  readonly refreshedAt: number;
  /** Oldest first. */
  readonly owed: readonly OwedReply[];
}

/** Before anything was heard. */
export const UNHEARD: ObligationSnapshot = Object.freeze({
  ready: false,
  stale: true,
  revision: 0,
  refreshedAt: 0,
  owed: Object.freeze([]),
});

/** So long after a reply left this machine it is believed to be lost if the projection still shows the obligation. */
export const REPLY_TRUST_MS = 600_000;
/** Own replies kept at most; the oldest go first. */
const MOST_REPLIES = 1000;

const isShown = ({ seq }: OwnReply, value: OwedValue): boolean => seq !== null && value.seq >= seq;

/** Brings the agent's own replies up to date with a value: without those that are no longer needed, oldest first. */
export const repliesAfter = (
  replies: readonly OwnReply[],
  value: OwedValue,
  now: number,
): readonly OwnReply[] => {
  const listed = new Set(value.owed.map(({ messageId }) => messageId));
  return replies.slice(-MOST_REPLIES).flatMap((reply) => {
    const isListed = listed.has(reply.messageId);
    if (isShown(reply, value) || (reply.wasListed && !isListed)) return [];
    if (reply.settledAt !== null && now - reply.settledAt > REPLY_TRUST_MS) return [];
    return [isListed === reply.wasListed ? reply : { ...reply, wasListed: isListed }];
  });
};

/** What is owed: the projected obligations without those that the agent has closed itself. */
export const snapshotOf = (
  value: OwedValue,
  replies: readonly OwnReply[],
  heard: { readonly refreshedAt: number; readonly stale: boolean },
): ObligationSnapshot => {
  const closed = new Set(replies.map(({ messageId }) => messageId));
  const owed = value.owed.filter(({ messageId }) => !closed.has(messageId)).map((one) => Object.freeze(one));
  return Object.freeze({ ready: true, ...heard, revision: value.revision, owed: Object.freeze(owed) });
};
