// The tool calls of a turn as events: announced or not, in whatever order the agent tells of them. Every call that is told has one
// `tool-started` (as soon as its input is known) and at most one `tool-finished`. Does no I/O.
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import { workspacePath } from '#services/runner/providers/workspace-path.ts';
import { terminalExitCode, terminalOutput, toolNameIn, wordsOf, type ToolCall } from './acp-update.ts';

/** Of output that comes in pieces this much is kept, the end of it. */
const OUTPUT_CHARACTERS = 1_000_000;

interface Known {
  name: string;
  title: string;
  input: unknown;
  output: string;
  /** Output that came in pieces; counts when there is no other. */
  streamed: string;
  exitCode: number | null | undefined;
  readonly files: Map<string, Change>;
  isStarted: boolean;
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);

const rawText = (value: unknown): string => {
  if (typeof value === 'string') return value;
  if (isEmpty(value)) return '';
  if (typeof value === 'object' && value !== null && 'output' in value && typeof value.output === 'string')
    return value.output;
  return JSON.stringify(value);
};

type Change = 'created' | 'changed';

/** The words in the content of a call, and the files that it says it changes. */
const contentOf = ({
  content,
}: ToolCall): { readonly words: string; readonly files: readonly [string, Change][] } => {
  const words: string[] = [];
  const files: [string, Change][] = [];
  for (const piece of content ?? []) {
    const { type, path, oldText, content: inner } = piece as Readonly<Record<string, unknown>>;
    if (type === 'diff' && typeof path === 'string')
      files.push([path, oldText === null || oldText === undefined ? 'created' : 'changed']);
    else if (type === 'content') words.push(wordsOf(inner as Parameters<typeof wordsOf>[0]));
  }
  return { words: words.join('\n'), files };
};

export class ToolCalls {
  readonly #workspace: string;
  readonly #calls = new Map<string, Known>();
  /** Calls that are over: what is still said of them changes nothing. */
  readonly #over = new Set<string>();

  constructor(workspace: string) {
    this.#workspace = workspace;
  }

  /** What is known of a call, for whoever has to decide on it. */
  describe(callId: string): { readonly name: string; readonly title: string; readonly input: unknown } {
    const { name, title, input } = this.#known(callId);
    return { name, title, input };
  }

  /** Takes what a message says; `isAnnounced`: it is the first word of the call, and its input may still come. */
  take(call: ToolCall, isAnnounced: boolean): readonly ProviderEvent[] {
    const { toolCallId: callId, status } = call;
    if (this.#over.has(callId)) return [];
    const known = this.#known(callId);
    this.#merge(known, call);
    const isOver = status === 'completed' || status === 'failed';
    const isWaiting = isAnnounced && (status === 'pending' || status === null || status === undefined);
    const events = isWaiting && !isOver ? [] : this.#start(callId, known);
    return isOver ? [...events, ...this.#finish(callId, known, status === 'failed')] : events;
  }

  /** Calls whose input never came are told as they are. */
  end(): readonly ProviderEvent[] {
    return [...this.#calls].flatMap(([callId, known]) => this.#start(callId, known));
  }

  #known(callId: string): Known {
    const before = this.#calls.get(callId);
    if (before !== undefined) return before;
    const known: Known = {
      name: 'tool',
      title: '',
      input: null,
      output: '',
      streamed: '',
      exitCode: undefined,
      files: new Map(),
      isStarted: false,
    };
    this.#calls.set(callId, known);
    return known;
  }

  #merge(known: Known, call: ToolCall): void {
    known.name =
      call.name ?? toolNameIn(call) ?? (known.name === 'tool' ? (call.kind ?? 'tool') : known.name);
    known.title = call.title ?? known.title;
    if (!isEmpty(call.rawInput)) known.input = call.rawInput;
    known.exitCode = terminalExitCode(call) ?? known.exitCode;
    known.streamed = (known.streamed + terminalOutput(call)).slice(-OUTPUT_CHARACTERS);
    const { words, files } = contentOf(call);
    for (const [path, change] of files) known.files.set(workspacePath(this.#workspace, path), change);
    // Each message says the whole content anew; what stands at the end is the output.
    const said = words || rawText(call.rawOutput);
    if (said !== '') known.output = said;
  }

  #start(callId: string, known: Known): readonly ProviderEvent[] {
    if (known.isStarted) return [];
    known.isStarted = true;
    const { name, title } = known;
    return [{ kind: 'tool-started', callId, name, input: known.input ?? { title } }];
  }

  #finish(callId: string, known: Known, hasFailed: boolean): readonly ProviderEvent[] {
    this.#calls.delete(callId);
    this.#over.add(callId);
    const { exitCode } = known;
    const isError = hasFailed || (exitCode !== undefined && exitCode !== null && exitCode !== 0);
    const files = [...known.files].map(([path, change]) => ({ kind: 'file-changed', path, change }) as const);
    const output = known.streamed === '' ? known.output : known.streamed;
    return [...(isError ? [] : files), { kind: 'tool-finished', callId, output, isError }];
  }
}
