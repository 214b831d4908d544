// What lines of Claude Code say beside session and result, as events. Pure.
import type { z } from 'zod';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import { workspacePath } from '#services/runner/providers/workspace-path.ts';
import {
  deniedLine,
  fileResult,
  retryLine,
  textBlock,
  thinkingBlock,
  toolResultBlock,
  toolUseBlock,
  type assistantLine,
  type userLine,
} from './claude-line.ts';

type Assistant = z.infer<typeof assistantLine>;

/** The model of messages that the program makes itself, to tell of an API that failed. */
const SYNTHETIC = '<synthetic>';

const blockEvents = (block: unknown, { message, parent_tool_use_id }: Assistant): ProviderEvent[] | null => {
  const text = textBlock.safeParse(block);
  if (text.success) {
    if (message.model === SYNTHETIC)
      return [{ kind: 'output', stream: 'stderr', text: `${text.data.text}\n` }];
    if (text.data.text === '') return [];
    // What a subagent says is said to the agent, and not to whoever asked.
    const isOwn = parent_tool_use_id === null || parent_tool_use_id === undefined;
    return [{ kind: isOwn ? 'text' : 'reasoning', text: text.data.text }];
  }
  const thinking = thinkingBlock.safeParse(block);
  if (thinking.success)
    return thinking.data.thinking === '' ? [] : [{ kind: 'reasoning', text: thinking.data.thinking }];
  const tool = toolUseBlock.safeParse(block);
  if (tool.success) {
    const { id: callId, name, input } = tool.data;
    return [{ kind: 'tool-started', callId, name, input }];
  }
  const result = toolResultBlock.safeParse(block);
  return result.success ? [toolFinished(result.data)] : null;
};

/** Undefined: one of its blocks is of a kind not known here, so that the line has to be kept as it is. */
export const assistantEvents = (line: Assistant): readonly ProviderEvent[] | undefined => {
  const events: ProviderEvent[] = [];
  for (const block of line.message.content) {
    const known = blockEvents(block, line) ?? (block.type === 'redacted_thinking' ? [] : undefined);
    if (known === undefined) return undefined;
    events.push(...known);
  }
  return events;
};

/** The text of a tool's output, whichever of its shapes it has. */
const outputText = (content: unknown): string => {
  if (typeof content === 'string') return content;
  if (content === undefined || content === null) return '';
  if (!Array.isArray(content)) return JSON.stringify(content);
  return content
    .map((part: unknown) => {
      const text = textBlock.safeParse(part);
      if (text.success) return text.data.text;
      return typeof part === 'object' && part !== null && 'type' in part
        ? `[${String(part.type)}]`
        : JSON.stringify(part);
    })
    .join('\n');
};

const toolFinished = ({
  tool_use_id,
  content,
  is_error,
}: z.infer<typeof toolResultBlock>): ProviderEvent => ({
  kind: 'tool-finished',
  callId: tool_use_id,
  output: outputText(content),
  isError: is_error ?? false,
});

/** What tools answered, each with the file it changed before it. What a person said is not told: it was asked of the program. */
export const userEvents = (
  { message, tool_use_result }: z.infer<typeof userLine>,
  cwd: string,
): readonly ProviderEvent[] => {
  if (typeof message.content === 'string') return [];
  const events: ProviderEvent[] = [];
  for (const block of message.content) {
    const result = toolResultBlock.safeParse(block);
    if (!result.success) continue;
    const file = fileResult.safeParse(tool_use_result);
    if (file.success && result.data.is_error !== true) {
      const change = 'type' in file.data && file.data.type === 'create' ? 'created' : 'changed';
      events.push({ kind: 'file-changed', path: workspacePath(cwd, file.data.filePath), change });
    }
    events.push(toolFinished(result.data));
  }
  return events;
};

/** Lines of the type `system` that a person wants to see; undefined: of a kind not known here. */
export const systemEvents = (value: object): readonly ProviderEvent[] | undefined => {
  const retry = retryLine.safeParse(value);
  if (retry.success) {
    const { attempt, max_retries, retry_delay_ms, error_status, error } = retry.data;
    const why = [error_status, error].filter((part) => part !== null && part !== undefined).join(' ');
    const text = `API retry ${attempt} of ${max_retries} in ${Math.round(retry_delay_ms)} ms: ${why}\n`;
    return [{ kind: 'output', stream: 'stderr', text }];
  }
  const denied = deniedLine.safeParse(value);
  if (!denied.success) return undefined;
  const { tool_name, message } = denied.data;
  return [{ kind: 'output', stream: 'stderr', text: `${tool_name} was not allowed: ${message}\n` }];
};
