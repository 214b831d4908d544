// What an agent says during one prompt (`session/update`), as events, in order, with what the end of the turn has to know of it. Does no
// I/O and never throws: what it does not know becomes an unknown line that says why.
import { reasonOf, unknownLine } from '#services/runner/providers/json-line.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import type { PromptFacts } from './acp-closing.policy.ts';
import { ToolCalls } from './acp-calls.ts';
import { failureIn, type SessionFailure } from './acp-message.ts';
import {
  chunk,
  infoUpdate,
  modeChange,
  notice,
  plan,
  SILENT_UPDATES,
  toolCall,
  usageUpdate,
  wordsOf,
} from './acp-update.ts';

/** Of the last words, for a summary. */
const TAIL_CHARACTERS = 2000;

const complaint = (text: string): ProviderEvent => ({ kind: 'output', stream: 'stderr', text: `${text}\n` });

/** An update as it came. */
export interface RawUpdate {
  readonly update: { readonly sessionUpdate: string };
  /** The whole line. */
  readonly line: string;
}

export class AcpWords {
  readonly #calls: ToolCalls;
  /** Warnings told already: agents repeat them. */
  readonly #warned = new Set<string>();
  #lastText = '';
  #rejections = 0;
  #isGoneOn = true;
  #costMicroUsd: number | undefined;

  constructor(workspace: string) {
    this.#calls = new ToolCalls(workspace);
  }

  get facts(): PromptFacts {
    return { rejections: this.#rejections, isGoneOn: this.#isGoneOn, lastText: this.#lastText };
  }

  /** The newest cost of the whole conversation. */
  get costMicroUsd(): number | undefined {
    return this.#costMicroUsd;
  }

  read({ update, line }: RawUpdate): readonly ProviderEvent[] {
    const events = this.#eventsOf(update, line);
    for (const event of events) this.#note(event);
    return events;
  }

  /** The call that permission is asked for: told now, if it was not before. Null: its words cannot be read. */
  asked(call: unknown): {
    readonly events: readonly ProviderEvent[];
    readonly about: ReturnType<ToolCalls['describe']>;
  } | null {
    const parsed = toolCall.safeParse(call);
    if (!parsed.success) return null;
    const { toolCallId, status } = parsed.data;
    const isOpen = status !== 'completed' && status !== 'failed';
    const events = isOpen ? this.#calls.take(parsed.data, false) : [];
    for (const event of events) this.#note(event);
    return { events, about: this.#calls.describe(toolCallId) };
  }

  /** A call was turned down. */
  rejected(): void {
    this.#rejections += 1;
    this.#isGoneOn = false;
  }

  end(): readonly ProviderEvent[] {
    return this.#calls.end();
  }

  #note(event: ProviderEvent): void {
    if (event.kind === 'text') this.#lastText = (this.#lastText + event.text).slice(-TAIL_CHARACTERS);
    if (event.kind === 'tool-started') this.#lastText = '';
    // The end of the call that was turned down is no further word.
    if (event.kind === 'text' || event.kind === 'tool-started') this.#isGoneOn = true;
  }

  #eventsOf(update: RawUpdate['update'], line: string): readonly ProviderEvent[] {
    const { sessionUpdate: kind } = update;
    switch (kind) {
      case 'agent_message_chunk':
      case 'agent_thought_chunk': {
        const { data, error } = chunk.safeParse(update);
        if (data === undefined) return [unknownLine(line, reasonOf(error))];
        const text = wordsOf(data.content);
        return text === '' ? [] : [{ kind: kind === 'agent_message_chunk' ? 'text' : 'reasoning', text }];
      }
      case 'tool_call':
      case 'tool_call_update': {
        const { data, error } = toolCall.safeParse(update);
        if (data === undefined) return [unknownLine(line, reasonOf(error))];
        return this.#calls.take(data, kind === 'tool_call');
      }
      default:
        return this.#sessionEvents(update, line);
    }
  }

  #sessionEvents(update: RawUpdate['update'], line: string): readonly ProviderEvent[] {
    const planned = plan.safeParse(update);
    if (planned.success) return [{ kind: 'plan', entries: planned.data.entries.map(withoutGaps) }];
    const mode = modeChange.safeParse(update);
    if (mode.success) return [{ kind: 'session-mode', mode: mode.data.currentModeId }];
    const told = notice.safeParse(update);
    if (told.success) return [complaint(noticeWords(told.data))];
    const info = infoUpdate.safeParse(update);
    if (info.success) return this.#warning(failureIn(info.data._meta));
    const used = usageUpdate.safeParse(update);
    if (used.success) this.#noteCost(used.data.cost);
    return SILENT_UPDATES.has(update.sessionUpdate)
      ? []
      : [unknownLine(line, `an update of a kind not known here: ${update.sessionUpdate}`)];
  }

  #warning(failure: SessionFailure | undefined): readonly ProviderEvent[] {
    if (failure === undefined || this.#warned.has(failure.title)) return [];
    this.#warned.add(failure.title);
    return [complaint(`${failure.severity}: ${failure.title}`)];
  }

  #noteCost(cost: { readonly amount: number; readonly currency: string } | null | undefined): void {
    if (cost?.currency === 'USD') this.#costMicroUsd = Math.round(cost.amount * 1_000_000);
  }
}

type Planned = Extract<ProviderEvent, { readonly kind: 'plan' }>['entries'][number];
const withoutGaps = ({
  priority,
  ...entry
}: Omit<Planned, 'priority'> & { readonly priority?: Planned['priority'] | undefined }): Planned => ({
  ...entry,
  ...(priority !== undefined && { priority }),
});

const noticeWords = ({
  severity,
  title,
  description,
}: {
  readonly severity: string;
  readonly title: string;
  readonly description?: string | null | undefined;
}): string => `${severity}: ${title}${typeof description === 'string' ? `: ${description}` : ''}`;
