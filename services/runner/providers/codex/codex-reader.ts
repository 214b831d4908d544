// What the lines of Codex mean, told in order. Pure: the same lines mean the same. What it does not know is kept as an unknown line.
import { usedSince } from '#services/runner/providers/counters.policy.ts';
import { readJsonLine, reasonOf, unknownLine } from '#services/runner/providers/json-line.ts';
import type { Line } from '#services/runner/providers/line-splitter.ts';
import { event, type LineMeaning, type ProgramReader } from '#services/runner/providers/program-reader.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import type { ResumePoint, Usage } from '#services/runner/providers/turn-facts.ts';
import { workspacePath } from '#services/runner/providers/workspace-path.ts';
import { itemSchema, lineSchema, type CodexItem, type CodexLine } from './codex-line.ts';

const GONE = 'no rollout found for thread id';

const CHANGES = { add: 'created', delete: 'deleted', update: 'changed' } as const;

const complaint = (text: string): ProviderEvent => ({ kind: 'output', stream: 'stderr', text: `${text}\n` });

const toolName = (item: CodexItem): { readonly name: string; readonly input: unknown } | undefined => {
  if (item.type === 'command_execution') return { name: 'command', input: { command: item.command } };
  if (item.type === 'file_change') return { name: 'file_change', input: { changes: item.changes } };
  if (item.type !== 'mcp_tool_call') return undefined;
  return { name: `${item.server}.${item.tool}`, input: item.arguments };
};

const toolOutput = (item: CodexItem): string => {
  if (item.type === 'command_execution') return item.aggregated_output;
  if (item.type !== 'mcp_tool_call') return '';
  if (item.error !== null && item.error !== undefined) return item.error.message;
  return item.result === undefined || item.result === null ? '' : JSON.stringify(item.result);
};

/** Messages of the model's API come as JSON in a text; the reason is inside. */
const messageOf = (text: string): string => {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('error' in value)) return text;
    const { error } = value;
    if (typeof error !== 'object' || error === null || !('message' in error)) return text;
    return typeof error.message === 'string' ? error.message : text;
  } catch {
    return text;
  }
};

class CodexReader implements ProgramReader {
  readonly #workspace: string;
  readonly #resume: ResumePoint | undefined;
  /** Calls whose beginning was told. */
  readonly #open = new Set<string>();
  #threadId: string | undefined;
  #counters: Usage;
  /** Its last message: the program gives no summary of its own. */
  #lastMessage = '';

  constructor({ workspace, resume }: { readonly workspace: string; readonly resume?: ResumePoint }) {
    this.#workspace = workspace;
    this.#resume = resume;
    this.#counters = resume?.counters ?? {};
  }

  read(line: Line): readonly LineMeaning[] {
    const json = readJsonLine(line);
    if (json.kind === 'empty') return [];
    if (json.kind === 'unknown') return [event(json.event)];
    const parsed = lineSchema.safeParse(json.value);
    if (!parsed.success) return [event(unknownLine(json.content, reasonOf(parsed.error)))];
    return this.#meaningOf(parsed.data, json.content);
  }

  session(errorTail: string): ResumePoint | 'gone' | undefined {
    if (this.#resume !== undefined && errorTail.includes(GONE)) return 'gone';
    if (this.#threadId === undefined) return undefined;
    return { providerSessionId: this.#threadId, counters: this.#counters };
  }

  #meaningOf(line: CodexLine, content: string): readonly LineMeaning[] {
    switch (line.type) {
      case 'thread.started':
        return this.#bind(line.thread_id);
      case 'turn.started':
      case 'item.updated':
        return [];
      case 'item.started':
      case 'item.completed':
        return this.#item(line, content);
      case 'turn.completed':
        return this.#completed(line.usage);
      case 'turn.failed': {
        const message = messageOf(line.error.message);
        return [{ kind: 'closing', closing: { outcome: 'failed', summary: '', message } }];
      }
      case 'error':
        break;
    }
    return [event(complaint(messageOf(line.message)))];
  }

  #bind(threadId: string): readonly LineMeaning[] {
    if (threadId === this.#threadId) return [];
    this.#threadId = threadId;
    const requested = this.#resume?.providerSessionId ?? null;
    const kind = requested === null || requested === threadId ? 'session-bound' : 'session-forked';
    return [event({ kind, providerSessionId: threadId, requested })];
  }

  #completed(
    usage: Extract<CodexLine, { readonly type: 'turn.completed' }>['usage'],
  ): readonly LineMeaning[] {
    const done: LineMeaning = {
      kind: 'closing',
      closing: { outcome: 'done', summary: this.#lastMessage, message: '' },
    };
    if (usage === undefined) return [done];
    const counters = {
      inputTokens: usage.input_tokens,
      cachedInputTokens: usage.cached_input_tokens,
      outputTokens: usage.output_tokens,
    };
    const used = usedSince(this.#counters, counters);
    this.#counters = counters;
    return [event({ kind: 'usage', usage: used }), done];
  }

  #item({ type, item }: Extract<CodexLine, { readonly item: unknown }>, content: string): LineMeaning[] {
    const parsed = itemSchema.safeParse(item);
    if (!parsed.success) return [event(unknownLine(content, `item ${reasonOf(parsed.error)}`))];
    const events = type === 'item.started' ? this.#started(parsed.data) : this.#finished(parsed.data);
    return events.map(event);
  }

  #started(item: CodexItem): readonly ProviderEvent[] {
    const tool = toolName(item);
    if (tool === undefined || this.#open.has(item.id)) return [];
    this.#open.add(item.id);
    return [{ kind: 'tool-started', callId: item.id, ...tool }];
  }

  #finished(item: CodexItem): readonly ProviderEvent[] {
    if (item.type === 'agent_message') {
      this.#lastMessage = item.text;
      return item.text === '' ? [] : [{ kind: 'text', text: item.text }];
    }
    if (item.type === 'reasoning') return item.text === '' ? [] : [{ kind: 'reasoning', text: item.text }];
    if (item.type === 'error') return [complaint(item.message)];
    const isError = item.status !== 'completed';
    const started = this.#started(item);
    this.#open.delete(item.id);
    const finished = { kind: 'tool-finished', callId: item.id, output: toolOutput(item), isError } as const;
    return [...started, ...(isError ? [] : this.#filesOf(item)), finished];
  }

  #filesOf(item: CodexItem): readonly ProviderEvent[] {
    if (item.type !== 'file_change') return [];
    return item.changes.map(({ path, kind }) => ({
      kind: 'file-changed',
      path: workspacePath(this.#workspace, path),
      change: CHANGES[kind as keyof typeof CHANGES] ?? 'changed',
    }));
  }
}

/** A reader of one turn. */
export const createCodexReader = (order: {
  readonly workspace: string;
  readonly resume?: ResumePoint;
}): ProgramReader => new CodexReader(order);
