// Asks a process on this machine again and again with one token: its problem documents (RFC 9457) become faults with their codes.
import { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { askLocally } from './ask-locally.ts';

const resultSchema = z.record(z.string(), z.unknown());
const problemSchema = z.object({
  code: z.string(),
  detail: z.string(),
  retry: z.enum(['now', 'later', 'never']).catch('never'),
});

/** An object, whose fields are the asker's to read. */
export type LocalResult = z.infer<typeof resultSchema>;

/** Faults: those of the other side by their codes; `LOCAL_UNREACHABLE` (later), `LOCAL_ANSWER` (never: nothing that could be read). */
export interface LocalClient {
  get(path: string): Promise<LocalResult>;
  /**
   * Asked twice where the first answer is lost: give what must not happen twice an id. `withinMs` null: as long as it takes, and once.
   */
  post(path: string, body: object, withinMs?: number | null): Promise<LocalResult>;
}

const WITHIN_MS = 15_000;

const isAway = (error: unknown): boolean => error instanceof Fault && error.code === 'LOCAL_UNREACHABLE';

export const createLocalClient = (
  { address, token }: { readonly address: string; readonly token: string },
  clock: Clock,
): LocalClient => {
  const ask = async (
    method: 'GET' | 'POST',
    path: string,
    body: object | undefined,
    withinMs: number | null,
  ): Promise<LocalResult> => {
    const time = withinMs === null ? {} : { withinMs };
    const request = { address, token, method, path, ...(body !== undefined && { body }), ...time };
    const answer = await askLocally(request, clock);
    const result = resultSchema.safeParse(answer.body);
    if (answer.status === 200 && result.success) return result.data;
    const problem = problemSchema.safeParse(answer.body);
    if (problem.success) {
      const { code, retry, detail: message } = problem.data;
      throw new Fault({ code, retry, message });
    }
    const message = `${address} answered ${answer.status} with something that cannot be read`;
    throw new Fault({ code: 'LOCAL_ANSWER', retry: 'never', message });
  };
  return {
    get: (path) => ask('GET', path, undefined, WITHIN_MS),
    post: async (path, body, withinMs = WITHIN_MS) => {
      try {
        return await ask('POST', path, body, withinMs);
      } catch (error) {
        if (!isAway(error) || withinMs === null) throw error;
        return ask('POST', path, body, withinMs);
      }
    },
  };
};
