// What a turn does with what its agent says: words become events on their way to the sink, requests for permission are answered. Decides
// nothing about the end of the turn.
import { decidePermission, type PermissionSetting } from './acp-permission.ts';
import type { EventFlow } from '#services/runner/providers/event-flow.ts';
import { unknownLine } from '#services/runner/providers/json-line.ts';
import type { ProviderEvent, TurnOrder } from '#services/runner/providers/provider.ts';
import type { AgentEar } from './acp-agent.ts';
import type { PermissionRequest } from './acp-message.ts';
import { AcpWords, type RawUpdate } from './acp-words.ts';
import type { TurnWatch } from './turn-watch.ts';

/** Unknown lines told one by one; from then on they are joined as raw output, so that a flood stays a few events. */
const UNKNOWN_LINES = 64;

export interface EarOptions {
  readonly flow: EventFlow;
  readonly watch: TurnWatch;
  readonly order: TurnOrder;
  readonly permissions: PermissionSetting;
  /** Aborts when the turn is being ended: open questions are withdrawn. */
  readonly withdrawn: AbortSignal;
  /** The sink has failed. */
  readonly onFailed: () => void;
}

const NOT_ANSWERED = { outcome: { outcome: 'cancelled' } };

export class TurnEar implements AgentEar {
  readonly words: AcpWords;
  readonly #options: EarOptions;
  #unknownLines = 0;

  constructor(options: EarOptions) {
    this.#options = options;
    this.words = new AcpWords(options.order.workspace);
  }

  heard(): void {
    this.#options.watch.heard();
  }

  failed(): void {
    this.#options.onFailed();
  }

  async event(event: ProviderEvent): Promise<void> {
    await this.#options.flow.put(this.#bounded(event));
  }

  async update(update: RawUpdate): Promise<void> {
    for (const event of this.words.read(update)) await this.event(event);
  }

  async permission({ toolCall, options }: PermissionRequest): Promise<object> {
    const { order, permissions, watch, withdrawn } = this.#options;
    const asked = this.words.asked(toolCall);
    try {
      if (asked === null) {
        await this.event(unknownLine(JSON.stringify(toolCall), 'a request for permission without a call'));
        return NOT_ANSWERED;
      }
      for (const event of asked.events) await this.event(event);
      const { name: tool, title, input } = asked.about;
      const call = { callId: toolCall.toolCallId, tool, title, input: input ?? { title } };
      const decider = { setting: permissions, ask: order.askApproval, withdrawn };
      const { result, event, isRejected } = await watch.aside(decidePermission(call, options, decider));
      if (isRejected) this.words.rejected();
      await this.event(event);
      return result;
    } catch {
      // Events or questions can no longer be kept.
      this.failed();
      return NOT_ANSWERED;
    }
  }

  /** What is left to tell. Rejects when the sink has failed. */
  async end(): Promise<void> {
    for (const event of this.words.end()) await this.event(event);
    await this.#options.flow.flush();
  }

  #bounded(event: ProviderEvent): ProviderEvent {
    if (event.kind !== 'unknown-line' || event.cutBytes > 0) return event;
    this.#unknownLines += 1;
    if (this.#unknownLines <= UNKNOWN_LINES) return event;
    return { kind: 'output', stream: 'stdout', text: `${event.line}\n` };
  }
}
