// A client of server-sent events for tests: reads frames as fast as it is asked to, and leaves when the test does.

export interface SseFrame {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: Record<string, unknown>;
}

const parseFrame = (block: string): SseFrame | undefined => {
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const at = line.indexOf(': ');
    if (at > 0) fields.set(line.slice(0, at), line.slice(at + 2));
  }
  const data = fields.get('data');
  if (data === undefined) return undefined;
  return {
    event: fields.get('event') ?? 'message',
    id: fields.get('id'),
    data: JSON.parse(data) as Record<string, unknown>,
  };
};

/** The texts between blank lines, comments included. */
export async function* sseBlocks(response: Response): AsyncGenerator<string> {
  if (response.body === null) return;
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body) {
    rest += decoder.decode(chunk as Uint8Array, { stream: true });
    const blocks = rest.split('\n\n');
    rest = blocks.pop() ?? '';
    yield* blocks;
  }
}

/** The frames of an event stream until it ends or the reader leaves. */
export async function* sseFrames(response: Response): AsyncGenerator<SseFrame> {
  for await (const block of sseBlocks(response)) {
    const frame = parseFrame(block);
    if (frame !== undefined) yield frame;
  }
}

/** Opens an event stream; fails when it is refused. */
export const openStream = async (url: string, headers: Record<string, string> = {}): Promise<Response> => {
  const response = await fetch(url, { headers });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  return response;
};

/** Every frame of an opened stream that ends by itself. */
const framesOf = async (response: Response): Promise<SseFrame[]> => {
  const frames: SseFrame[] = [];
  for await (const frame of sseFrames(response)) frames.push(frame);
  return frames;
};

/** Every frame of a stream that ends by itself. */
export const wholeStream = async (url: string, headers: Record<string, string> = {}): Promise<SseFrame[]> =>
  framesOf(await openStream(url, headers));
