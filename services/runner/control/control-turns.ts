// The turns whose programs may ask something, each known by its token. Tokens are in memory only and die with the turn: after a
// restart of the runner nothing that was started before it can ask anything any more.
import { hash } from 'node:crypto';
import { Fault } from '#libs/kernel/fault.ts';
import type { TurnScope } from '#services/runner/report-writer.ts';
import type { ProviderName } from '#streams/run.ts';
import type { ControlTurn } from './control-parts.ts';

/** A turn that is going on. */
export interface LiveTurn {
  readonly turn: ControlTurn;
  /** What the run asked for. */
  readonly prompt: string;
  /** How often its agent has been sent on by the stop gate. */
  blocks: number;
}

/** Tokens of ended turns that are told so; older ones are unknown. */
const REMEMBERED = 256;
/** Sessions whose token is kept: more than programs live at once. */
const KEPT = 1024;

/** Found by digest, so that how long a look-up takes says nothing about a token. */
const digestOf = (token: string): string => hash('sha256', token, 'base64');

const refused = (code: string, message: string): Fault => new Fault({ code, retry: 'never', message });

export class ControlTurns {
  readonly #newSecret: () => string;
  readonly #live = new Map<string, LiveTurn & { readonly ending: AbortController }>();
  readonly #digests = new Map<string, string>();
  readonly #over = new Set<string>();
  /** Tokens of sessions whose program outlives a turn: it cannot be told another. */
  readonly #kept = new Map<string, string>();

  constructor(newSecret: () => string) {
    this.#newSecret = newSecret;
  }

  /** How many are going on. */
  get size(): number {
    return this.#live.size;
  }

  /**
   * Begins a turn; gives its token. The program of an `acp` session works on from turn to turn: each of its turns has the token of the
   * first, which is worth something only while one of them goes on.
   */
  open(scope: TurnScope, provider: ProviderName, prompt: string): string {
    const token = provider === 'acp' ? this.#keptToken(scope.sessionId) : this.#newSecret();
    const ending = new AbortController();
    const digest = digestOf(token);
    this.#over.delete(digest);
    this.#digests.set(scope.turnId, digest);
    const turn = { ...scope, provider, signal: ending.signal };
    this.#live.set(digest, { turn, prompt, blocks: 0, ending });
    return token;
  }

  /** The turn of a token. Faults: `TURN_OVER`, `TOKEN_UNKNOWN` (never). */
  find(token: string): LiveTurn {
    const digest = digestOf(token);
    const live = this.#live.get(digest);
    if (live !== undefined) return live;
    throw this.#over.has(digest)
      ? refused('TURN_OVER', 'the turn of this token is over')
      : refused('TOKEN_UNKNOWN', 'the token is that of no turn; it is in FLEETLOG_TURN_TOKEN of a program');
  }

  /** Undefined: it is over, or never began. */
  of(turnId: string): LiveTurn | undefined {
    const digest = this.#digests.get(turnId);
    return digest === undefined ? undefined : this.#live.get(digest);
  }

  /** Ends a turn: its token is worth nothing from now on, and whoever waits in it is told. Repeatable. */
  close(turnId: string): void {
    const digest = this.#digests.get(turnId);
    if (digest === undefined) return;
    // With a reason, or the platform makes an error with a stack for it.
    this.#live.get(digest)?.ending.abort('the turn is over');
    this.#live.delete(digest);
    this.#digests.delete(turnId);
    this.#over.add(digest);
    const [oldest] = this.#over;
    if (this.#over.size > REMEMBERED && oldest !== undefined) this.#over.delete(oldest);
  }

  #keptToken(sessionId: string): string {
    const token = this.#kept.get(sessionId) ?? this.#newSecret();
    this.#kept.delete(sessionId);
    this.#kept.set(sessionId, token);
    const [longest] = this.#kept.keys();
    if (this.#kept.size > KEPT && longest !== undefined) this.#kept.delete(longest);
    return token;
  }

  /** Ends all of them. */
  closeAll(): void {
    for (const turnId of this.#digests.keys()) this.close(turnId);
  }
}
