// One turn of an agent whose process may outlive it: takes the session's process, opens the conversation, prompts (again while somebody has a
// reason to send the agent on), and hands the process back, or ends it. A turn is over when its prompt is and nothing that was started during it is left.
//
// taking     a process is found or started              prompting  the prompt is under way
// opening    the conversation is being opened           settling   what the turn started is ended; the process is kept or ends
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import { sumOf, usedSince } from '#services/runner/providers/counters.policy.ts';
import { EventFlow } from '#services/runner/providers/event-flow.ts';
import { findMarked, sweepMarked } from '#libs/processes/marked-processes.ts';
import type {
  EventSink,
  ProviderEvent,
  ProviderTurn,
  TurnOrder,
} from '#services/runner/providers/provider.ts';
import type { ResumePoint, StopReason, TurnFacts, Usage } from '#services/runner/providers/turn-facts.ts';
import type { ProcessEnd } from '#services/runner/providers/turn-process.ts';
import type { SteerAnswer } from '#services/runner/turn-commands.ts';
import type { AcpAgent } from './acp-agent.ts';
import { promptAnswer } from './acp-answer.ts';
import { closingOf, tokensOf, type PromptAnswer } from './acp-closing.policy.ts';
import { openConversation, type Opened } from './acp-conversation.ts';
import type { Greeting } from './acp-greeting.ts';
import type { PermissionSetting } from './acp-permission.ts';
import type { AcpPool } from './acp-pool.ts';
import { waitBeforeLoadMs } from './acp-quirks.policy.ts';
import { AcpWordsWaiting, type AcpSteering } from './acp-steering.ts';
import { TurnEar } from './turn-ear.ts';
import { TurnWatch } from './turn-watch.ts';

export interface TurnSettings {
  /** What is answered to requests for permission when nobody is asked. */
  readonly permissions: PermissionSetting;
  /** The agent's own name of the mode that conversations are to be in. */
  readonly mode: string | undefined;
  readonly steering: AcpSteering;
}

export interface AcpTurnOptions {
  readonly order: TurnOrder;
  readonly sink: EventSink;
  readonly clock: Clock;
  readonly pool: AcpPool;
  readonly settings: TurnSettings;
}

/** Somebody wants the turn to end, and nothing is wrong. */
const isWish = (reason: StopReason): boolean => reason === 'cancel' || reason === 'interrupt';

/** A prompt with words that came before it was sent. */
const joined = (text: string, words: string | null): string =>
  words === null ? text : `${text}\n\n${words}`;

const NO_EXIT: Omit<ProcessEnd, 'leftovers'> = { exit: null, startProblem: null };

export class AcpTurn implements ProviderTurn {
  readonly started: Promise<{ readonly pid: number | null; readonly programVersion?: string }>;
  readonly ended: Promise<TurnFacts>;
  readonly #options: AcpTurnOptions;
  readonly #flow: EventFlow;
  readonly #watch: TurnWatch;
  readonly #ear: TurnEar;
  readonly #withdrawn = new AbortController();
  readonly #words: AcpWordsWaiting;
  readonly #start: (how: Awaited<AcpTurn['started']>) => void;
  #agent: AcpAgent | undefined;
  #spared: ReadonlySet<number> = new Set();
  #isPrompting = false;
  /** Its process is being ended. */
  #isEnding = false;
  /** A cancel was answered in time: the process need not be ended. */
  #isCancelAnswered = false;
  #cancelTerm: CancelTimer = () => undefined;
  #stopped: StopReason | null = null;
  #killDueMs = Number.POSITIVE_INFINITY;
  #closing: TurnFacts['closing'] = null;
  #usage: Usage | null = null;
  #session: ResumePoint | undefined;

  constructor(options: AcpTurnOptions) {
    this.#options = options;
    const { order, sink, clock, settings } = options;
    const started = Promise.withResolvers<Awaited<AcpTurn['started']>>();
    [this.started, this.#start] = [started.promise, started.resolve];
    this.#words = new AcpWordsWaiting(settings.steering);
    this.#watch = new TurnWatch(order.limits, clock, (reason) => this.stop(reason));
    this.#flow = new EventFlow(sink, clock, () => this.stop('sink'));
    this.#ear = new TurnEar({
      flow: this.#flow,
      watch: this.#watch,
      order,
      permissions: settings.permissions,
      withdrawn: this.#withdrawn.signal,
      onFailed: () => this.stop('sink'),
    });
    this.ended = this.#run();
  }

  steer(text: string): Promise<SteerAnswer> {
    if (this.#stopped !== null) this.#words.end();
    return this.#words.give(text, () => {
      // A question to a person is not taken back for it: the words come behind its answer.
      if (this.#isPrompting && !this.#watch.isAside) this.#agent?.cancel();
    });
  }

  stop(reason: StopReason, killAfterMs = this.#options.order.limits.killAfterMs): void {
    const { clock } = this.#options;
    const isFirst = this.#stopped === null;
    this.#stopped ??= reason;
    this.#words.end();
    this.#killDueMs = Math.min(this.#killDueMs, clock.monotonicMs() + killAfterMs);
    if (isFirst && this.#isPrompting) this.#agent?.cancel();
    this.#withdrawn.abort();
    // Only a cancel by somebody leaves the agent the choice; all else is too grave to take its word for it.
    if (!isWish(reason)) return this.#end(killAfterMs);
    // A prompt that is over has said its result: a cancel comes too late then.
    if (!this.#isPrompting) return this.#closing === null ? this.#end(killAfterMs) : undefined;
    // Asked first; half of the time is kept for ending it.
    const end = (): void => this.#end(killAfterMs / 2);
    if (isFirst) this.#cancelTerm = clock.timer(killAfterMs / 2, end, { keepAlive: true });
  }

  #end(killAfterMs: number): void {
    this.#isEnding = true;
    this.#agent?.stop(killAfterMs);
  }

  async #run(): Promise<TurnFacts> {
    const { order, pool } = this.#options;
    const { agent, said } = await pool.take(order);
    this.#agent = agent;
    agent.listen(this.#ear);
    if (this.#stopped !== null) this.#end(this.#msToKill());
    await this.#guarded(this.#converse(agent, said));
    this.#words.end();
    this.#watch.end();
    const end = await this.#settle(agent);
    agent.listen(null);
    await this.#guarded(this.#ear.end());
    return this.#factsOf(agent, end);
  }

  /** Whatever fails here is the sink: the agent's words and its end are values. */
  async #guarded(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch {
      this.stop('sink');
    }
  }

  async #converse(agent: AcpAgent, said: readonly ProviderEvent[]): Promise<void> {
    const greeting = await agent.greeting;
    const version = greeting.kind === 'ready' ? greeting.version : undefined;
    this.#start({ pid: await agent.pid, ...(version !== undefined && { programVersion: version }) });
    for (const event of said) await this.#flow.put(event);
    if (greeting.kind === 'gone') return;
    if (greeting.kind === 'failed') return this.#fail(greeting.message);
    const opened = await this.#open(agent, greeting);
    if (opened.kind === 'gone') return;
    if (opened.kind === 'failed') return this.#fail(opened.closing.message);
    await this.#enter(opened);
    await this.#prompt(agent);
  }

  #open(agent: AcpAgent, greeting: Extract<Greeting, { readonly kind: 'ready' }>): Promise<Opened> {
    const { order, pool, clock, settings } = this.#options;
    return openConversation({
      agent,
      greeting,
      order,
      mode: settings.mode,
      msBeforeLoad: (sessionId) => waitBeforeLoadMs(agent.quirks, pool.begunAt(sessionId), clock.now()),
      wait: (ms) => this.#watch.aside(clock.sleep(ms, this.#withdrawn.signal)),
    });
  }

  /** Says which conversation it is; whoever takes that may still end the turn before anything is done in it. */
  async #enter({ sessionId, problem }: Extract<Opened, { readonly kind: 'open' }>): Promise<void> {
    const { order, pool } = this.#options;
    const requested = order.resume?.providerSessionId ?? null;
    const isForked = requested !== null && requested !== sessionId;
    if (requested === null || isForked) pool.noteBegun(sessionId);
    const counters = isForked ? {} : (order.resume?.counters ?? {});
    this.#session = { providerSessionId: sessionId, counters };
    if (isForked && problem !== undefined) {
      const text = `a new conversation, because the agent did not go on with ${requested}: ${problem}\n`;
      await this.#flow.put({ kind: 'output', stream: 'stderr', text });
    }
    const kind = isForked ? 'session-forked' : 'session-bound';
    await this.#flow.put({ kind, providerSessionId: sessionId, requested });
  }

  async #prompt(agent: AcpAgent): Promise<void> {
    const { order } = this.#options;
    this.#spared = new Set(await findMarked(agent.mark));
    for (let text: string | null = order.prompt; text !== null && this.#stopped === null;) {
      this.#closing = null;
      agent.listen(this.#ear);
      for (const event of agent.between.take()) await this.#flow.put(event);
      await this.#promptOnce(agent, joined(text, this.#words.take()));
      text = this.#words.take() ?? (this.#isDone() ? (order.stopReason?.() ?? null) : null);
    }
  }

  #isDone(): boolean {
    return this.#stopped === null && this.#closing?.outcome === 'done';
  }

  async #promptOnce(agent: AcpAgent, text: string): Promise<void> {
    this.#isPrompting = true;
    const answer = await agent.prompt(text);
    this.#isPrompting = false;
    this.#cancelTerm();
    this.#isCancelAnswered = this.#stopped !== null && isWish(this.#stopped) && answer.kind !== 'gone';
    if (answer.kind !== 'gone') await this.#answered(promptAnswer(answer, agent.quirks), agent);
  }

  async #answered(answer: PromptAnswer, agent: AcpAgent): Promise<void> {
    const { facts, costMicroUsd } = this.#ear.words;
    // Told to stop, it may say anything.
    if (this.#stopped === null) this.#closing = closingOf(answer, agent.quirks, facts);
    const tokens = answer.kind === 'result' ? tokensOf(answer.usage, agent.quirks) : undefined;
    const point = this.#session;
    if (point === undefined) return;
    const counters = costMicroUsd === undefined ? {} : { costMicroUsd };
    const usage = { ...tokens, ...usedSince(point.counters, counters) };
    this.#session = { ...point, counters: { ...point.counters, ...counters } };
    if (Object.keys(usage).length === 0) return;
    this.#usage = sumOf(this.#usage ?? {}, usage);
    await this.#flow.put({ kind: 'usage', usage: this.#usage });
  }

  #fail(message: string): void {
    if (this.#stopped === null) this.#closing = { outcome: 'failed', summary: '', message };
    this.#end(this.#msToKill());
  }

  #msToKill(): number {
    const { order, clock } = this.#options;
    return Math.max(0, Math.min(order.limits.killAfterMs, this.#killDueMs - clock.monotonicMs()));
  }

  /** Ends what the prompt has started, and the process too unless it can be kept. */
  async #settle(agent: AcpAgent): Promise<ProcessEnd> {
    const { order, clock, pool } = this.#options;
    this.#start({ pid: await agent.pid });
    let leftovers = 0;
    if (this.#session !== undefined && (this.#closing !== null || this.#isCancelAnswered)) {
      // Whatever it runs in the background would run on with no run to answer for it; agents leave commands behind when they are cancelled.
      // Its servers of tools may have been started late, and are its own.
      const spared = new Set([...this.#spared, ...(await findMarked(agent.toolsMark))]);
      const sweeping = sweepMarked(agent.mark, clock, this.#msToKill(), { spared: spared });
      leftovers = await Promise.race([sweeping, agent.ended.then((end) => end.leftovers)]);
      if (!this.#isEnding && pool.give(order)) return { ...NO_EXIT, leftovers };
    }
    if (!this.#isEnding && agent.isAlive) await agent.leave();
    const end = await agent.ended;
    return { ...end, leftovers: leftovers + end.leftovers };
  }

  #factsOf(agent: AcpAgent, { exit, startProblem, leftovers }: ProcessEnd): TurnFacts {
    return {
      closing: this.#closing,
      exit,
      startProblem,
      stopped: this.#stopped,
      lastText: this.#ear.words.facts.lastText,
      errorTail: agent.errorTail,
      usage: this.#usage,
      events: this.#flow.events,
      leftovers,
      isLasting: true,
      ...(this.#session !== undefined && { session: this.#session }),
    };
  }
}
