// One agent's process, which lives as long as it is useful: said hello to, its conversation opened, prompted turn after turn. Reads no faster
// than the turn under way takes; between turns it reads on, and ends an agent that begins to work with no turn to answer for it.
//
// greeting   `initialize` is asked                  idle       no turn listens
// open       its conversation can be prompted       ended      the process and all it started have gone
import type { Clock } from '#libs/ports/clock.ts';
import { TOOLS_MARK } from '#services/runner/providers/child-environment.ts';
import { unknownLine } from '#services/runner/providers/json-line.ts';
import { LineSplitter, type Line } from '#services/runner/providers/line-splitter.ts';
import type { ProviderEvent, TurnOrder } from '#services/runner/providers/provider.ts';
import { TextChunks } from '#services/runner/providers/text-chunks.ts';
import {
  startTurnProcess,
  type ProcessEnd,
  type TurnProcess,
} from '#services/runner/providers/turn-process.ts';
import { permissionRequest, type PermissionRequest, type RequestId } from './acp-message.ts';
import { AcpPeer, type Answer, type Incoming } from './acp-peer.ts';
import { quirksAfter, quirksBefore, type AcpQuirks, type AgentSetting } from './acp-quirks.policy.ts';
import { greet, type Greeting } from './acp-greeting.ts';
import { sessionUpdate, SILENT_NOTIFICATIONS, SILENT_UPDATES } from './acp-update.ts';
import { BetweenTurns } from './between-turns.ts';
import type { RawUpdate } from './acp-words.ts';

/** A line carries a whole tool result, an image maybe. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
/** Pieces of standard error. */
const ERROR_CHARACTERS = 16_384;
const TAIL_CHARACTERS = 2000;
/** From the end of its output to its own end, ms. */
const GOING_MS = 1000;

/** Who is told what an agent says while a turn is under way. */
export interface AgentEar {
  /** Something has come, or has been taken. */
  heard(): void;
  /** Resolves when it is taken. A rejection: nothing can be taken any more. */
  event(event: ProviderEvent): Promise<void>;
  update(update: RawUpdate): Promise<void>;
  /** Resolves with what to answer. Never rejects. */
  permission(request: PermissionRequest): Promise<object>;
  failed(): void;
}

export interface AgentOptions {
  /** Of the turn that it is started for. */
  readonly order: TurnOrder;
  readonly clock: Clock;
  readonly agent: AgentSetting;
}

const CANCELLED = { outcome: { outcome: 'cancelled' } };

export class AcpAgent {
  readonly pid: Promise<number | null>;
  /** Whether it speaks our protocol, and what it can. Never rejects. */
  readonly greeting: Promise<Greeting>;
  /** Never rejects. */
  readonly ended: Promise<ProcessEnd>;
  /** What it said with no turn to tell it to. */
  readonly between = new BetweenTurns();
  readonly peer: AcpPeer;
  /** What it and all it started bear in their environment. */
  readonly mark: string;
  /** What the servers of tools that it was given bear besides. */
  readonly toolsMark: string;
  readonly #process: TurnProcess;
  readonly #lines = new LineSplitter(MAX_LINE_BYTES);
  readonly #errors = new TextChunks(ERROR_CHARACTERS);
  readonly #killAfterMs: number;
  #quirks: AcpQuirks;
  #ear: AgentEar | undefined;
  #sessionId: string | undefined;
  #isReplaying = false;
  #isPrompted = false;
  #lastReplayMs = 0;
  #errorTail = '';
  #isAlive = true;
  #isStopped = false;
  readonly #clock: Clock;

  constructor({ order, clock, agent }: AgentOptions) {
    this.#clock = clock;
    this.#killAfterMs = order.limits.killAfterMs;
    this.#quirks = quirksBefore(agent, order.program);
    const id = order.environment[order.mark] ?? '';
    this.mark = `${order.mark}=${id}`;
    this.toolsMark = `${TOOLS_MARK}=${id}`;
    this.#process = startTurnProcess({
      order,
      clock,
      keepsInput: true,
      stdout: { take: (chunk) => this.#take(chunk) },
      stderr: { take: (chunk) => this.#takeErrors(this.#errors.push(chunk)) },
      onOutputEnd: () => this.#endDeaf(),
      onReaderFailed: () => (this.#ear === undefined ? this.stop(this.#killAfterMs) : this.#ear.failed()),
    });
    this.peer = new AcpPeer((text) => this.#process.write(text));
    this.pid = this.#process.started;
    this.ended = this.#process.ended.then((end) => this.#onEnded(end));
    this.greeting = greet(this.peer, clock, this.pid).then((greeting) => {
      if (greeting.kind === 'ready') this.#quirks = quirksAfter(agent, greeting.name, this.#quirks);
      return greeting;
    });
  }

  get quirks(): AcpQuirks {
    return this.#quirks;
  }

  /** Its conversation, once one is open. */
  get sessionId(): string | undefined {
    return this.#sessionId;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** It lives, and is not being ended. */
  get isUsable(): boolean {
    return this.#isAlive && !this.#isStopped;
  }

  /** The end of what it wrote to standard error. */
  get errorTail(): string {
    return this.#errorTail;
  }

  /** From now on this turn is told, until its prompt is answered; null: none is. */
  listen(ear: AgentEar | null): void {
    this.#ear = ear ?? undefined;
    if (ear !== null) this.#errorTail = '';
  }

  /** Names the conversation whose updates are ours; `isReplaying`: what comes is its past, told again. */
  follow(sessionId: string, isReplaying = false): void {
    this.#sessionId = sessionId;
    this.#isReplaying = isReplaying;
    this.#lastReplayMs = this.#clock.monotonicMs();
  }

  /** Resolves when nothing of the past has come for `quietMs`. */
  async untilQuiet(quietMs: number): Promise<void> {
    for (;;) {
      const leftMs = this.#lastReplayMs + quietMs - this.#clock.monotonicMs();
      if (leftMs <= 0 || !this.#isAlive) return;
      await this.#clock.sleep(leftMs);
    }
  }

  /** Asks it to do its prompt; what it says meanwhile goes to the ear. */
  prompt(text: string): Promise<Answer> {
    const params = { sessionId: this.#sessionId, prompt: [{ type: 'text', text }] };
    // What comes behind the answer is not of this turn.
    this.#isPrompted = true;
    return this.peer.request('session/prompt', params, () => {
      this.#isPrompted = false;
      this.listen(null);
    });
  }

  cancel(): void {
    this.peer.notify('session/cancel', { sessionId: this.#sessionId });
  }

  /** SIGTERM now, SIGKILL after `killAfterMs`; everything it started goes with it. */
  stop(killAfterMs: number): void {
    this.#isStopped = true;
    this.#process.stop(killAfterMs);
  }

  /** Ends it in peace: its input is closed, and only then it is stopped. */
  async leave(): Promise<void> {
    this.#isStopped = true;
    this.#process.endInput();
    const cancel = this.#clock.timer(this.#quirks.goesWithinMs, () => this.#process.stop(this.#killAfterMs), {
      keepAlive: true,
    });
    await this.ended;
    cancel();
  }

  /** Without its output it can answer nothing any more. */
  #endDeaf(): void {
    const cancel = this.#clock.timer(GOING_MS, () => {
      void this.#tell({
        kind: 'output',
        stream: 'stderr',
        text: 'the agent closed its output and lived on\n',
      });
      this.stop(this.#killAfterMs);
    });
    void this.ended.then(cancel);
  }

  async #onEnded(end: ProcessEnd): Promise<ProcessEnd> {
    this.#isAlive = false;
    try {
      for (const line of this.#lines.end()) await this.#line(line);
      await this.#takeErrors(this.#errors.end());
    } catch {
      this.#ear?.failed();
    }
    this.peer.close();
    return end;
  }

  async #take(chunk: Buffer): Promise<void> {
    this.#ear?.heard();
    for (const line of this.#lines.push(chunk)) await this.#line(line);
    // The time in which its words were taken is not its silence.
    this.#ear?.heard();
  }

  async #takeErrors(pieces: Iterable<string>): Promise<void> {
    for (const text of pieces) {
      this.#errorTail = (this.#errorTail + text).slice(-TAIL_CHARACTERS);
      this.#ear?.heard();
      await this.#tell({ kind: 'output', stream: 'stderr', text });
    }
  }

  async #tell(event: ProviderEvent): Promise<void> {
    if (this.#ear === undefined) this.between.keep(event);
    else await this.#ear.event(event);
  }

  async #line(line: Line): Promise<void> {
    const incoming = this.peer.take(line);
    if (incoming.kind === 'unknown') await this.#tell(incoming.event);
    if (incoming.kind === 'request') await this.#asked(incoming, incoming.content);
    if (incoming.kind === 'notification') await this.#told(incoming, incoming.content);
  }

  async #asked(
    { id, method, params }: Extract<Incoming, { readonly kind: 'request' }>,
    content: string,
  ): Promise<void> {
    if (method === 'session/request_permission') return this.#permission(id, params, content);
    this.peer.decline(id, method);
    await this.#tell(unknownLine(content, `it asks for what is not offered here: ${method}`));
  }

  async #permission(id: RequestId, params: unknown, content: string): Promise<void> {
    const { data } = permissionRequest.safeParse(params);
    const ear = this.#ear;
    if (data === undefined || ear === undefined || data.sessionId !== this.#sessionId) {
      this.peer.answer(id, CANCELLED);
      await this.#tell(
        unknownLine(content, 'a permission that cannot be read, or is asked for outside a turn'),
      );
      if (ear === undefined) this.stop(this.#killAfterMs);
      return;
    }
    // Reading goes on: whoever decides may take long, and the agent has other things to say.
    void ear.permission(data).then((result) => this.peer.answer(id, result));
  }

  async #told(
    { method, params }: Extract<Incoming, { readonly kind: 'notification' }>,
    content: string,
  ): Promise<void> {
    if (SILENT_NOTIFICATIONS.has(method)) return;
    const { data } = sessionUpdate.safeParse(params);
    if (method !== 'session/update' || data === undefined)
      return this.#tell(unknownLine(content, `a notification not known here: ${method}`));
    const { update } = data;
    const { sessionUpdate: kind } = update;
    if (data.sessionId !== this.#sessionId) {
      if (SILENT_UPDATES.has(kind)) return;
      return this.#tell(unknownLine(content, 'an update of a conversation that is not this one'));
    }
    if (this.#isReplaying) this.#lastReplayMs = this.#clock.monotonicMs();
    else if (this.#ear !== undefined && this.#isPrompted) await this.#ear.update({ update, line: content });
    else if (this.between.update(kind, content)) this.stop(this.#killAfterMs);
  }
}
