// What to do when a program is not in the conversation it was asked to go on with, as a provider around a provider: the turn ends
// (`fail`), or goes on with the program started anew and told what the conversation was about (`re-prime`). One turn outside, whatever it
// takes inside: events in order, one end, the limits those of the whole. `accept` needs none of this.
import type { Clock } from '#libs/ports/clock.ts';
import type { ResumeMismatch } from '#streams/run.ts';
import { sumOf } from './counters.policy.ts';
import { STEER_UNSUPPORTED, type SteerAnswer, type WordsAnswer } from '#services/runner/turn-commands.ts';
import type { EventSink, Provider, ProviderTurn, TurnOrder } from './provider.ts';
import type { StopReason, TurnFacts } from './turn-facts.ts';

interface ResumeRule {
  readonly kind: ResumeMismatch;
  /** The command that begins a new conversation. */
  readonly freshProgram: readonly string[];
  /** What the conversation was about, to be put before the prompt. */
  readonly recap: { readonly text: string; readonly turns: number };
}

/** Both parts of one turn as one. */
const joined = (first: TurnFacts, second: TurnFacts): TurnFacts => ({
  ...second,
  usage: first.usage === null ? second.usage : sumOf(first.usage, second.usage ?? {}),
  events: first.events + second.events,
  leftovers: first.leftovers + second.leftovers,
});

/** The same facts without where the session stands: what is kept of it stays as it is. */
const withoutSession = ({ session: _session, ...facts }: TurnFacts): TurnFacts => facts;

interface RuledParts {
  readonly provider: Provider;
  readonly rule: ResumeRule;
  readonly clock: Clock;
}

class RuledTurn implements ProviderTurn {
  readonly started: ProviderTurn['started'];
  readonly ended: Promise<TurnFacts>;
  readonly #provider: Provider;
  readonly #order: TurnOrder;
  readonly #sink: EventSink;
  readonly #rule: ResumeRule;
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  #current: ProviderTurn;
  /** The conversation that it is in instead. */
  #observed: string | null = null;
  /** Why somebody outside ended the turn. */
  #stopped: StopReason | null = null;

  constructor({ provider, rule, clock }: RuledParts, order: TurnOrder, sink: EventSink) {
    this.#provider = provider;
    this.#rule = rule;
    this.#clock = clock;
    this.#order = order;
    this.#sink = sink;
    this.#deadlineMs = clock.monotonicMs() + order.limits.turnTimeoutMs;
    this.#current = provider.start(order, (event) => this.#take(event));
    this.started = this.#current.started;
    this.ended = this.#live();
  }

  stop(reason: StopReason, killAfterMs?: number): void {
    this.#stopped ??= reason;
    this.#current.stop(reason, killAfterMs);
  }

  async steer(text: string, commandId: string): Promise<WordsAnswer> {
    return (await this.#current.steer?.(text, commandId)) ?? STEER_UNSUPPORTED;
  }

  async deliver(text: string, id: string): Promise<SteerAnswer> {
    return (await this.#current.deliver?.(text, id)) ?? STEER_UNSUPPORTED;
  }

  hold(): () => void {
    return this.#current.hold?.() ?? ((): void => undefined);
  }

  async #take(event: Parameters<EventSink>[0]): Promise<void> {
    if (event.kind === 'session-forked' && this.#observed === null) {
      this.#observed = event.providerSessionId;
      // Before it does anything in a conversation that knows nothing of the work.
      this.#current.stop('session-lost');
    }
    await this.#sink(event);
  }

  async #live(): Promise<TurnFacts> {
    const first = await this.#current.ended;
    const isLost = this.#observed !== null || first.session === 'gone';
    if (!isLost) return first;
    if (this.#stopped !== null) return { ...withoutSession(first), stopped: this.#stopped };
    if (this.#rule.kind === 'fail')
      return { ...withoutSession(first), closing: null, stopped: 'session-lost' };
    return joined(first, await this.#again());
  }

  async #again(): Promise<TurnFacts> {
    const { recap, freshProgram } = this.#rule;
    const { resume, ...order } = this.#order;
    const requested = resume?.providerSessionId ?? '';
    const { turns, text } = recap;
    await this.#sink({
      kind: 'session-primed',
      requested,
      observed: this.#observed,
      turns,
      characters: text.length,
    });
    const turnTimeoutMs = Math.max(1, this.#deadlineMs - this.#clock.monotonicMs());
    const prompt = text === '' ? order.prompt : `${text}\n\n${order.prompt}`;
    this.#current = this.#provider.start(
      { ...order, program: freshProgram, prompt, limits: { ...order.limits, turnTimeoutMs } },
      this.#sink,
    );
    // It may have been ended while the beginning was written down.
    if (this.#stopped !== null) this.#current.stop(this.#stopped);
    return this.#current.ended;
  }
}

/** The provider under a rule; turns that begin a new conversation are as they were. */
export const withResumeRule = (provider: Provider, rule: ResumeRule, clock: Clock): Provider => ({
  name: provider.name,
  start: (order, sink) =>
    order.resume === undefined || rule.kind === 'accept'
      ? provider.start(order, sink)
      : new RuledTurn({ provider, rule, clock }, order, sink),
});
