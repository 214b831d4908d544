// Walks over the keys of a bucket in pieces of bounded size, without the reserved ones.
import type { KeyValue } from '#libs/ports/key-value.ts';

const CHUNK = 256;

/** The projected keys of a bucket, at most 256 at a time. Throws the bucket's faults. */
export async function* keyChunks(kv: KeyValue): AsyncGenerator<readonly string[]> {
  let chunk: string[] = [];
  for await (const key of kv.keys()) {
    if (key.startsWith('_')) continue;
    if (chunk.push(key) < CHUNK) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}
