// Asks the control endpoint of a runner in the name of one turn: what it answers is read by a schema, and its problem documents
// become faults with their codes.
import { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import { askLocally } from '#libs/local-http/local-client.ts';
import type { Clock } from '#libs/ports/clock.ts';

const resultSchema = z.record(z.string(), z.unknown());
const problemSchema = z.object({
  code: z.string(),
  detail: z.string(),
  retry: z.enum(['now', 'later', 'never']).catch('never'),
});

export type ControlResult = z.infer<typeof resultSchema>;

export interface ControlClient {
  /** Faults: those of the endpoint by their codes; `LOCAL_UNREACHABLE` (later), `CONTROL_ANSWER` (never: no answer of ours). */
  get(path: string): Promise<ControlResult>;
  /**
   * Asked twice where the first answer is lost: give what must not happen twice an id. `withinMs` null: as long as it takes, and once.
   */
  post(path: string, body: object, withinMs?: number | null): Promise<ControlResult>;
}

/** Longer than the endpoint itself waits for anybody but people. */
const WITHIN_MS = 15_000;

const isAway = (error: unknown): boolean => error instanceof Fault && error.code === 'LOCAL_UNREACHABLE';

export const createControlClient = (
  { address, token }: { readonly address: string; readonly token: string },
  clock: Clock,
): ControlClient => {
  const ask = async (
    method: 'GET' | 'POST',
    path: string,
    body: object | undefined,
    withinMs: number | null,
  ): Promise<ControlResult> => {
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
    const message = `${address} answered ${answer.status} with something else than a runner would`;
    throw new Fault({ code: 'CONTROL_ANSWER', retry: 'never', message });
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
