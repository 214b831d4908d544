// What the lines of Claude Code mean, told in order: a process may print several `init` and `result` lines, and the turn is over when it
// exits. Pure: the same lines mean the same. What it does not know is kept as an unknown line.
import { sumOf, usedSince } from '#services/runner/providers/counters.policy.ts';
import { readJsonLine, reasonOf, unknownLine } from '#services/runner/providers/json-line.ts';
import type { Line } from '#services/runner/providers/line-splitter.ts';
import { event, type LineMeaning, type ProgramReader } from '#services/runner/providers/program-reader.ts';
import type { ResumePoint, Usage } from '#services/runner/providers/turn-facts.ts';
import { assistantEvents, systemEvents, userEvents } from './claude-events.ts';
import { costScope, microUsd } from './claude-cost.policy.ts';
import {
  assistantLine,
  initLine,
  lifecycleLine,
  rateLimitLine,
  resultLine,
  SILENT_SUBTYPES,
  SILENT_TYPES,
  systemLine,
  userLine,
  type RateLimitLine,
  type ResultLine,
} from './claude-line.ts';

const GONE = 'No conversation found with session ID';

const tokensOf = ({ usage }: ResultLine): Usage => {
  if (usage === undefined) return {};
  const cached = usage.cache_read_input_tokens;
  return {
    inputTokens: usage.input_tokens + usage.cache_creation_input_tokens + cached,
    cachedInputTokens: cached,
    outputTokens: usage.output_tokens,
  };
};

/** Nothing has failed, and yet it is not done: a tool call waits for an approval. It fails unless the runner asks for it. */
const deferred = ({ stop_reason, deferred_tool_use }: ResultLine): string | undefined =>
  stop_reason === 'tool_deferred'
    ? `the call of ${deferred_tool_use?.name ?? 'a tool'} was put off until somebody allows it, which nobody can`
    : undefined;

const failureOf = (line: ResultLine): string =>
  [line.result ?? '', ...(line.errors ?? [])].filter((text) => text !== '').join('; ') ||
  `it ended with ${line.terminal_reason ?? line.subtype}`;

const parkedOf = ({ is_error, stop_reason, deferred_tool_use: call }: ResultLine) =>
  is_error || stop_reason !== 'tool_deferred' || call === null || call === undefined
    ? {}
    : { parked: { callId: call.id, tool: call.name, input: call.input } };

const closingOf = (line: ResultLine): LineMeaning => {
  const message = line.is_error ? failureOf(line) : deferred(line);
  const summary = message === undefined ? (line.result ?? '') : '';
  return message === undefined
    ? { kind: 'closing', closing: { outcome: 'done', summary, message: '' } }
    : { kind: 'closing', closing: { outcome: 'failed', summary, message }, ...parkedOf(line) };
};

const quotaOf = (info: RateLimitLine['rate_limit_info']): LineMeaning => {
  const { status, resetsAt, isUsingOverage } = info;
  if (status !== 'rejected' || isUsingOverage === true) return { kind: 'quota', word: null };
  return { kind: 'quota', word: { resetsAt: typeof resetsAt === 'number' ? resetsAt * 1000 : null } };
};

const takenUp = (value: object): readonly LineMeaning[] => {
  const { data } = lifecycleLine.safeParse(value);
  return data?.state === 'started' ? [{ kind: 'taken-up', id: data.command_uuid }] : [];
};

class ClaudeReader implements ProgramReader {
  readonly #resume: ResumePoint | undefined;
  #cwd: string;
  #version: string | undefined;
  #sessionId: string | undefined;
  /** The total at the last result; undefined: it has to be taken as it is. */
  #costCounter: number | undefined;
  #used: Usage = {};
  #isGone = false;

  constructor({ workspace, resume }: { readonly workspace: string; readonly resume?: ResumePoint }) {
    this.#cwd = workspace;
    this.#resume = resume;
    this.#costCounter = resume?.counters.costMicroUsd;
  }

  read(line: Line): readonly LineMeaning[] {
    const json = readJsonLine(line);
    if (json.kind === 'empty') return [];
    if (json.kind === 'unknown') return [event(json.event)];
    return this.#meaningOf(json.value) ?? [event(unknownLine(json.content, this.#whyUnknown(json.value)))];
  }

  session(errorTail: string): ResumePoint | 'gone' | undefined {
    if (this.#resume !== undefined && (this.#isGone || errorTail.includes(GONE))) return 'gone';
    if (this.#sessionId === undefined) return undefined;
    const costMicroUsd = this.#costCounter;
    return {
      providerSessionId: this.#sessionId,
      counters: costMicroUsd === undefined ? {} : { costMicroUsd },
    };
  }

  #meaningOf(value: object): readonly LineMeaning[] | undefined {
    const type = 'type' in value ? value.type : undefined;
    if (typeof type !== 'string') return undefined;
    if (SILENT_TYPES.has(type)) return [];
    if (type === 'command_lifecycle') return takenUp(value);
    if (type === 'system') return this.#system(value);
    if (type === 'assistant') {
      const { data } = assistantLine.safeParse(value);
      return data && assistantEvents(data)?.map(event);
    }
    if (type === 'rate_limit_event') {
      const { data } = rateLimitLine.safeParse(value);
      return data && [quotaOf(data.rate_limit_info)];
    }
    if (type === 'user') {
      const { data } = userLine.safeParse(value);
      return data && userEvents(data, this.#cwd).map(event);
    }
    const { data } = resultLine.safeParse(value);
    return data && this.#result(data);
  }

  #system(value: object): readonly LineMeaning[] | undefined {
    const { data } = systemLine.safeParse(value);
    if (data === undefined) return undefined;
    if (SILENT_SUBTYPES.has(data.subtype)) return [];
    const init = initLine.safeParse(value);
    if (!init.success) return systemEvents(value)?.map(event);
    this.#cwd = init.data.cwd ?? this.#cwd;
    this.#version = init.data.claude_code_version ?? this.#version;
    // Another turn of the same process: what the last result said was not the end.
    return [...this.#bind(init.data.session_id), { kind: 'closing', closing: null }];
  }

  #bind(sessionId: string): readonly LineMeaning[] {
    if (sessionId === this.#sessionId) return [];
    this.#sessionId = sessionId;
    const requested = this.#resume?.providerSessionId ?? null;
    const kind = requested === null || requested === sessionId ? 'session-bound' : 'session-forked';
    return [event({ kind, providerSessionId: sessionId, requested })];
  }

  #result(line: ResultLine): readonly LineMeaning[] {
    this.#isGone ||= (line.errors ?? []).some((text) => text.includes(GONE));
    this.#used = sumOf(this.#used, { ...tokensOf(line), costMicroUsd: this.#costOf(line) });
    return [event({ kind: 'usage', usage: this.#used }), closingOf(line)];
  }

  /** What this result adds to the cost of the turn; undefined: it cannot be told. */
  #costOf(line: ResultLine): number | undefined {
    const { total_cost_usd: total, model_usage_since_last_result: since } = line;
    const counter = total === undefined ? undefined : microUsd(total);
    const before = this.#baseline();
    // A failure may say 0 without having looked: the counter stands where it stood.
    if (counter !== undefined && counter > 0) this.#costCounter = counter;
    if (since !== undefined && since !== null)
      return microUsd(Object.values(since).reduce((sum, { costUSD }) => sum + costUSD, 0));
    if (counter === undefined || before === 'unknown') return undefined;
    return counter === 0 ? 0 : usedSince({ costMicroUsd: before }, { costMicroUsd: counter }).costMicroUsd;
  }

  #baseline(): number | 'unknown' {
    const isFirstResult = this.#used.costMicroUsd === undefined;
    if (this.#resume === undefined || !isFirstResult) return this.#costCounter ?? 0;
    const scope = costScope(this.#version);
    if (scope === 'unknown') return 'unknown';
    return scope === 'process' ? 0 : (this.#costCounter ?? 0);
  }

  #whyUnknown(value: object): string {
    const type = 'type' in value ? String(value.type) : 'none';
    const subtype = 'subtype' in value ? ` ${String(value.subtype)}` : '';
    const schema = { system: systemLine, assistant: assistantLine, user: userLine, result: resultLine }[type];
    const parsed = schema?.safeParse(value);
    return parsed === undefined || parsed.success ? `unknown type ${type}${subtype}` : reasonOf(parsed.error);
  }
}

/** A reader of one turn. */
export const createClaudeReader = (order: {
  readonly workspace: string;
  readonly resume?: ResumePoint;
}): ProgramReader => new ClaudeReader(order);
