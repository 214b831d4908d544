// The model API that the Gemini CLI speaks (generateContent, streamed), as far as a scripted model needs: see model-apis.ts.
import { z } from 'zod';
import type { Answer, Asked, ModelApi } from './model-apis.ts';

const request = z.object({
  contents: z.array(
    z.object({ role: z.string().optional(), parts: z.array(z.record(z.string(), z.unknown())) }),
  ),
  tools: z
    .array(z.object({ functionDeclarations: z.array(z.object({ name: z.string() })).default([]) }))
    .default([]),
});

const partsOf = ({ thinking, text, call }: Answer): readonly object[] => [
  ...(thinking === undefined ? [] : [{ text: thinking, thought: true }]),
  ...(text === undefined ? [] : [{ text }]),
  ...(call === undefined ? [] : [{ functionCall: { id: call.id, name: call.name, args: call.input } }]),
];

export const GEMINI: ModelApi = {
  path: ':streamGenerateContent',
  served: (server, tool) => ({ name: `mcp_${server}_${tool}` }),
  shells: [{ name: 'run_shell_command', input: (command) => ({ command }) }],
  read: (body) => {
    const { contents, tools } = request.parse(body);
    const items = contents.map(({ role, parts }): Asked['items'][number] => {
      const text = parts.map((part) => (typeof part['text'] === 'string' ? part['text'] : '')).join('\n');
      if (role === 'model') return { who: 'model', text: '' };
      const isTool = parts.some((part) => 'functionResponse' in part);
      return { who: isTool ? 'tool' : 'user', text: isTool ? JSON.stringify(parts) : text };
    });
    return { items, tools: tools.flatMap((tool) => tool.functionDeclarations.map(({ name }) => name)) };
  },
  *events(answer) {
    const { input, output } = answer.usage ?? { input: 100, output: 20 };
    const usageMetadata = {
      promptTokenCount: input,
      candidatesTokenCount: output,
      totalTokenCount: input + output,
    };
    const parts = partsOf(answer);
    for (const [at, part] of parts.entries()) {
      const isLast = at === parts.length - 1;
      const candidate = {
        index: 0,
        content: { role: 'model', parts: [part] },
        ...(isLast && { finishReason: 'STOP' }),
      };
      yield ['', { candidates: [candidate], responseId: answer.id, modelVersion: 'scripted', usageMetadata }];
    }
  },
  error: (message) => ({ error: { code: 400, message, status: 'INVALID_ARGUMENT' } }),
};
