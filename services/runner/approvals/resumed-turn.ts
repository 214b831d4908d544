// A turn that goes on after an answer, as a provider around a provider: the program is started without a prompt and makes the call that
// it had put off. Where it has made it already (the runner died afterwards), it says so and ends; then it is started again with a
// prompt that says what has happened. One turn outside, whatever it takes inside.
import { STEER_UNSUPPORTED, type SteerAnswer, type WordsAnswer } from '#services/runner/turn-commands.ts';
import type { EventSink, Provider, ProviderTurn, TurnOrder } from '#services/runner/providers/provider.ts';
import type { StopReason, TurnFacts } from '#services/runner/providers/turn-facts.ts';
import type { SettledApproval } from '#streams/approvals.ts';

/** What Claude Code 2.1.329 says on standard error when nothing is put off; nothing is on standard output then (measured). */
const NOTHING_DEFERRED = 'No deferred tool marker found';

const SAID = {
  approve: 'was allowed by a person',
  edit: 'was allowed by a person, with another input',
  reject: 'was refused by a person',
  expired: 'was not allowed by anybody in time',
  withdrawn: 'is not asked about any more',
} as const;

/** Tells an agent that was interrupted after its answer how things stand. */
const goOnPrompt = (answers: readonly SettledApproval[]): string => {
  const lines = answers.map(({ tool, decision, message }) => {
    const why = message === undefined || message === '' ? '' : ` (${message})`;
    return `Your call of ${tool} ${SAID[decision]}${why}.`;
  });
  return `${lines.join('\n')}\nYou were interrupted after that. See what has been done already, then go on with your task.`;
};

class ResumedTurn implements ProviderTurn {
  readonly started: ProviderTurn['started'];
  readonly ended: Promise<TurnFacts>;
  #current: ProviderTurn;
  #stopped: StopReason | null = null;

  constructor(start: (prompt: string) => ProviderTurn, prompt: string) {
    this.#current = start('');
    this.started = this.#current.started;
    this.ended = this.#live(start, prompt);
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

  async #live(start: (prompt: string) => ProviderTurn, prompt: string): Promise<TurnFacts> {
    const facts = await this.#current.ended;
    const isStale = facts.closing === null && facts.errorTail.includes(NOTHING_DEFERRED);
    if (!isStale || this.#stopped !== null) return facts;
    this.#current = start(prompt);
    return this.#current.ended;
  }
}

/** The provider for a turn that goes on after these answers. Without its conversation it begins anew, with its prompt: the answers are of no use there. */
export const withAnswers = (provider: Provider, answers: readonly SettledApproval[]): Provider => ({
  name: provider.name,
  start: (order: TurnOrder, sink: EventSink) =>
    order.resume === undefined || answers.length === 0
      ? provider.start(order, sink)
      : new ResumedTurn((prompt) => provider.start({ ...order, prompt }, sink), goOnPrompt(answers)),
});
