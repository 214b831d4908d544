// Two model APIs as agent programs speak them, as far as a scripted model needs: what a request says, and a reply as a stream of
// server-sent events. Anthropic Messages (Claude Code) and OpenAI Responses (Codex).
import { z } from 'zod';

/** What the scripted model says and does next. */
export interface ModelReply {
  readonly thinking?: string;
  readonly text?: string;
  /** A command, run by whichever shell tool the program offers. */
  readonly shell?: string;
  /** The command is asked for in a way that needs somebody's permission, where the program has one. */
  readonly isAsked?: boolean;
  /** A call of a tool server's tool. */
  readonly served?: { readonly server: string; readonly tool: string; readonly input: object };
  readonly usage?: { readonly input: number; readonly output: number };
  /** An HTTP error instead. */
  readonly status?: number;
}

/** One part of the conversation so far: the model's, a tool's answer, or a person's words. */
interface Item {
  readonly who: 'model' | 'tool' | 'user';
  readonly text: string;
}

export interface Asked {
  readonly items: readonly Item[];
  readonly tools: readonly string[];
}

interface Call {
  readonly id: string;
  readonly name: string;
  /** Where the API keeps the tools of a server apart. */
  readonly namespace?: string;
  readonly input: object;
}

/** A reply with its tool call spelt out. */
export interface Answer extends Omit<ModelReply, 'shell' | 'isAsked' | 'served'> {
  readonly id: string;
  readonly call?: Call;
}

export interface ModelApi {
  /** The end of the path it is asked at. */
  readonly path: string;
  /** What programs call a shell that they offer at this API, and how a command is put into it. */
  readonly shells: readonly {
    readonly name: string;
    readonly input: (command: string, isAsked: boolean) => object;
  }[];
  /** How a tool server's tool is called. */
  served(server: string, tool: string): Pick<Call, 'name' | 'namespace'>;
  read(body: unknown): Asked;
  events(answer: Answer): Iterable<readonly [type: string, data: object]>;
  error(message: string): object;
}

const flat = (content: unknown): string => {
  if (typeof content === 'string') return content;
  if (Array.isArray(content)) return content.map(flat).join('\n');
  if (typeof content !== 'object' || content === null) return '';
  const { text, content: inner, output } = content as Readonly<Record<string, unknown>>;
  return typeof text === 'string' ? text : flat(inner ?? output);
};

const named = z.object({ name: z.string().optional(), type: z.string().optional() });
const namesOf = (tools: readonly z.infer<typeof named>[]): string[] =>
  tools.map(({ name, type }) => name ?? type ?? '');

const messages = z.object({
  messages: z.array(z.object({ role: z.string(), content: z.unknown() })),
  tools: z.array(named).default([]),
});

const isToolResult = (part: unknown): boolean =>
  typeof part === 'object' && part !== null && 'type' in part && part.type === 'tool_result';

const usageOf = ({ usage }: Answer): { readonly input: number; readonly output: number } =>
  usage ?? { input: 100, output: 20 };

type Block = { readonly start: object; readonly delta: object };

const blocksOf = ({ thinking, text, call }: Answer): readonly Block[] => [
  ...(thinking === undefined
    ? []
    : [
        {
          start: { type: 'thinking', thinking: '', signature: '' },
          delta: { type: 'thinking_delta', thinking },
        },
      ]),
  ...(text === undefined ? [] : [{ start: { type: 'text', text: '' }, delta: { type: 'text_delta', text } }]),
  ...(call === undefined
    ? []
    : [
        {
          start: { type: 'tool_use', id: call.id, name: call.name, input: {} },
          delta: { type: 'input_json_delta', partial_json: JSON.stringify(call.input) },
        },
      ]),
];

export const ANTHROPIC: ModelApi = {
  path: '/v1/messages',
  served: (server, tool) => ({ name: `mcp__${server}__${tool}` }),
  shells: ['Bash', 'bash'].map((name) => ({
    name,
    input: (command) => ({ command, description: 'scripted' }),
  })),
  read: (body) => {
    const asked = messages.parse(body);
    const items = asked.messages.map(({ role, content }): Item => {
      if (role === 'assistant') return { who: 'model', text: '' };
      const results = Array.isArray(content) ? content.filter(isToolResult) : [];
      return results.length > 0 ? { who: 'tool', text: flat(results) } : { who: 'user', text: flat(content) };
    });
    return { items, tools: namesOf(asked.tools) };
  },
  *events(answer) {
    const { input, output } = usageOf(answer);
    const event = (type: string, data: object): readonly [string, object] => [type, { type, ...data }];
    yield event('message_start', {
      message: {
        id: `msg_${answer.id}`,
        type: 'message',
        role: 'assistant',
        model: 'scripted',
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: input, output_tokens: 1 },
      },
    });
    for (const [index, { start, delta }] of blocksOf(answer).entries()) {
      yield event('content_block_start', { index, content_block: start });
      yield event('content_block_delta', { index, delta });
      if ('thinking' in start)
        yield event('content_block_delta', { index, delta: { type: 'signature_delta', signature: 'c2ln' } });
      yield event('content_block_stop', { index });
    }
    const stop_reason = answer.call === undefined ? 'end_turn' : 'tool_use';
    yield event('message_delta', {
      delta: { stop_reason, stop_sequence: null },
      usage: { output_tokens: output },
    });
    yield event('message_stop', {});
  },
  error: (message) => ({ type: 'error', error: { type: 'invalid_request_error', message } }),
};

const responses = z.object({
  input: z.array(
    z.object({
      type: z.string().optional(),
      role: z.string().optional(),
      content: z.unknown().optional(),
      output: z.unknown().optional(),
      tools: z.array(named).optional(),
    }),
  ),
  tools: z.array(named).default([]),
});

type InputItem = z.infer<typeof responses>['input'][number];

const itemOf = ({ type = '', role, content, output }: InputItem): readonly Item[] => {
  if (role === 'user') return [{ who: 'user', text: flat(content) }];
  if (role === 'assistant' || type.endsWith('_call')) return [{ who: 'model', text: '' }];
  return type.endsWith('_output') ? [{ who: 'tool', text: flat(output) }] : [];
};

const outputOf = ({ id, thinking, text, call }: Answer): readonly object[] => [
  ...(thinking === undefined
    ? []
    : [
        {
          type: 'reasoning',
          id: `rs_${id}`,
          summary: [{ type: 'summary_text', text: thinking }],
          encrypted_content: null,
        },
      ]),
  ...(text === undefined
    ? []
    : [
        {
          type: 'message',
          id: `msg_${id}`,
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text, annotations: [] }],
        },
      ]),
  ...(call === undefined
    ? []
    : [
        {
          type: 'function_call',
          id: `fc_${id}`,
          call_id: call.id,
          name: call.name,
          ...(call.namespace !== undefined && { namespace: call.namespace }),
          arguments: JSON.stringify(call.input),
          status: 'completed',
        },
      ]),
];

export const OPENAI: ModelApi = {
  path: '/responses',
  served: (server, tool) => ({ name: tool, namespace: `mcp__${server}` }),
  shells: [
    {
      name: 'exec_command',
      input: (cmd, isAsked) => ({
        cmd,
        yield_time_ms: 30_000,
        ...(isAsked && { sandbox_permissions: 'require_escalated', justification: 'scripted' }),
      }),
    },
  ],
  read: (body) => {
    const { input, tools } = responses.parse(body);
    const further = input.flatMap((item) => (item.type === 'additional_tools' ? (item.tools ?? []) : []));
    return { items: input.flatMap(itemOf), tools: namesOf([...tools, ...further]) };
  },
  *events(answer) {
    const { input, output } = usageOf(answer);
    let sequence_number = 0;
    const event = (type: string, data: object): readonly [string, object] => [
      type,
      { type, sequence_number: sequence_number++, ...data },
    ];
    const response = {
      id: `resp_${answer.id}`,
      object: 'response',
      created_at: 1,
      model: 'scripted',
      error: null,
    };
    const items = outputOf(answer);
    yield event('response.created', { response: { ...response, status: 'in_progress', output: [] } });
    for (const [output_index, item] of items.entries()) {
      yield event('response.output_item.added', { output_index, item });
      yield event('response.output_item.done', { output_index, item });
    }
    const usage = {
      input_tokens: input,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: input + output,
    };
    yield event('response.completed', {
      response: { ...response, status: 'completed', output: items, usage },
    });
  },
  error: (message) => ({ error: { type: 'invalid_request_error', code: null, message } }),
};
