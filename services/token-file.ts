// Changes of the file of API tokens: one at a time between processes, whole or not at all, readable by its owner only. Gateways read it
// while they run (services/gateway/token-book.ts).
import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { takeExclusive } from '#libs/broker/exclusive-file.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { makeFolder } from '#libs/outbox/make-folder.ts';
import { tokenFileSchema, type ApiToken } from '#streams/tokens.ts';

const broken = (path: string, cause: unknown): Fault =>
  new Fault({
    code: 'TOKENS_UNREADABLE',
    retry: 'never',
    message: `the token file ${path} cannot be used: ${cause instanceof Error ? cause.message.slice(0, 300) : String(cause)}`,
    cause,
  });

/** The file of a stack in this data directory; `fleetlog up` serves its tokens. */
export const tokenFileIn = (dataDir: string): string => join(dataDir, 'secrets', 'tokens.json');

/** The tokens of a file; none where there is no file. Fault: `TOKENS_UNREADABLE` (never). */
export const readTokens = async (path: string): Promise<readonly ApiToken[]> => {
  try {
    return tokenFileSchema.parse(JSON.parse(await readFile(path, 'utf8'))).tokens;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw broken(path, error);
  }
};

/** Changes the tokens of a file. Faults: `TOKENS_UNREADABLE` (never), `TOKENS_LOCKED` (later), what `change` throws. */
export const changeTokens = async (
  path: string,
  change: (tokens: readonly ApiToken[]) => readonly ApiToken[],
): Promise<void> => {
  try {
    makeFolder(dirname(path));
  } catch (error) {
    throw broken(path, error);
  }
  const lock = takeExclusive(`${path}.lock`);
  if (lock === undefined)
    throw new Fault({
      code: 'TOKENS_LOCKED',
      retry: 'later',
      message: `${path} is being changed by another command; give yours again`,
    });
  try {
    const tokens = change(await readTokens(path));
    await writeFile(`${path}.new`, `${JSON.stringify({ tokens }, null, 2)}\n`, { mode: 0o600, flush: true });
    await rename(`${path}.new`, path);
  } finally {
    lock.release();
  }
};

/** The record of a token. */
export const tokenRecord = (token: string, holder: Omit<ApiToken, 'id' | 'sha256'>): ApiToken => {
  const sha256 = createHash('sha256').update(token).digest('hex');
  return { id: `tok_${sha256.slice(0, 12)}`, ...holder, sha256 };
};
