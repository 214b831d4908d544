// Whether an agent that wants to end its turn may: one that owes replies is told so, a few times, and then let go. Pure.
// Only replies to messages that the agent has seen count. A notice obliges nobody, so it never opens an obligation.
import type { ProviderName } from '#streams/run.ts';

/** How often a program can be sent on in a row: measured; beyond it the program ends its turn whatever it is told. */
const PROVIDER_LIMIT: Readonly<Record<string, number>> = { claude: 8 };

/** What is shown of one obligation. */
export interface OwedLine {
  readonly messageId: string;
  readonly from: string;
  readonly subject: string | null;
  /** Null: the agent has not seen it yet. */
  readonly injectedAt: number | null;
}

export interface StopGateFacts {
  readonly provider: ProviderName;
  /** False: what is owed is not known, which is no reason to hold anybody. */
  readonly ready: boolean;
  readonly owed: readonly OwedLine[];
  /** How often the agent has been sent on in this turn. */
  readonly blocks: number;
  /** How often it may be, as configured. */
  readonly limit: number;
  /** Whether the agent has the tools of `fleetlog mcp`. */
  readonly hasTools: boolean;
}

export type StopGateDecision =
  | { readonly kind: 'block'; readonly reason: string; readonly owed: readonly OwedLine[] }
  /** `owed`: what it leaves behind. */
  | { readonly kind: 'let-go'; readonly owed: readonly OwedLine[] };

/** Obligations named in one reason. */
const MOST_NAMED = 20;

/** What is known of the obligations of an agent, and of the messages that its turn has brought. */
export interface KnownDebts {
  readonly snapshot: {
    readonly ready: boolean;
    /** Epoch ms; 0: never. */
    readonly refreshedAt: number;
    readonly owed: readonly OwedLine[];
  };
  readonly brought: readonly (Omit<OwedLine, 'injectedAt'> & { readonly storedAt: number })[];
}

/** After this time what was heard of obligations is the better word: the push takes a moment, the look behind it ten seconds. */
const HEARD_BY_MS = 15_000;

/**
 * What is owed. A quick turn ends before the control plane has said that its messages are owed, or that they were seen; this machine knows,
 * for it put them into the prompt.
 */
export const debtsOf = ({ snapshot, brought }: KnownDebts): Pick<StopGateFacts, 'ready' | 'owed'> => {
  const { ready, refreshedAt, owed } = snapshot;
  const heard = ready ? owed : [];
  const known = new Map(brought.map((mail) => [mail.messageId, mail]));
  const listed = heard.map((line) => {
    const mail = known.get(line.messageId);
    return mail === undefined ? line : { ...line, injectedAt: line.injectedAt ?? mail.storedAt };
  });
  const unlisted = brought.filter(
    ({ messageId, storedAt }) =>
      refreshedAt - storedAt < HEARD_BY_MS && heard.every((line) => line.messageId !== messageId),
  );
  const more = unlisted.map(({ messageId, from, subject, storedAt }) => ({
    messageId,
    from,
    subject,
    injectedAt: storedAt,
  }));
  return { ready: ready || more.length > 0, owed: [...listed, ...more] };
};

/** What an agent can be held to: replies to messages it has seen. */
export const seenOf = (owed: readonly OwedLine[]): readonly OwedLine[] =>
  owed.filter(({ injectedAt }) => injectedAt !== null);

const nameOf = ({ messageId, from, subject }: OwedLine): string =>
  `- ${messageId} from ${from}${subject === null ? '' : `: ${subject.replaceAll(/\s+/g, ' ').slice(0, 200)}`}`;

const howTo = (hasTools: boolean): string =>
  hasTools
    ? 'Answer each with the tool `reply` of the server fleetlog (replyTo: the id above, body: your answer).'
    : 'Answer each with: fleetlog reply <id> "<your answer>"';

/** What the agent is told. */
const owedReason = (owed: readonly OwedLine[], hasTools: boolean): string => {
  const more = owed.length - MOST_NAMED;
  return [
    `You still owe ${owed.length === 1 ? 'a reply' : `${owed.length} replies`}:`,
    ...owed.slice(0, MOST_NAMED).map(nameOf),
    ...(more > 0 ? [`- and ${more} more`] : []),
    howTo(hasTools),
    'If you cannot answer yet, reply with what is missing. Then you can end your turn.',
  ].join('\n');
};

/** Total: every combination has an answer. */
export const stopGate = ({
  provider,
  ready,
  owed,
  blocks,
  limit,
  hasTools,
}: StopGateFacts): StopGateDecision => {
  const seen = ready ? seenOf(owed) : [];
  const most = Math.min(limit, PROVIDER_LIMIT[provider] ?? limit);
  if (seen.length === 0 || blocks >= most) return { kind: 'let-go', owed: seen };
  return { kind: 'block', reason: owedReason(seen, hasTools), owed: seen };
};
