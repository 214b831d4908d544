// A client of the gateway that asks for many short runs while everything dies around it. It repeats what was not answered, with the same
// idempotency key, as a client should, and remembers what was acknowledged.
import { createRandom } from '#libs/memory/prng.ts';
import { systemClock } from '#libs/system/clock.ts';
import { CHAOS_AGENTS } from './chaos-fleet.ts';
import { api } from './stack.ts';

export interface Acknowledged {
  readonly runId: string;
  readonly seq: number;
  readonly key: string;
}

export interface ChaosClient {
  /** Asks for `count` runs, several at a time; resolves when all are acknowledged. */
  askForAll(count: number): Promise<void>;
  readonly acknowledged: readonly Acknowledged[];
  /** Requests that got no answer, or one that says try again. */
  readonly retries: () => number;
  /** Answers that a right stack does not give. */
  readonly surprises: readonly string[];
}

/** Reads its prompt, works for a moment, says that it is done: about 5 ms of processor time. */
const PROGRAM = [
  'sh',
  '-c',
  'cat > /dev/null; echo "$FLEETLOG_TURN" >> turns; sleep 0.0$(($$ % 10)); echo \'{"type":"text","text":"working"}\'; echo \'{"type":"result","outcome":"done","summary":"done"}\'',
];
const AT_ONCE = 12;
const AGAIN_MS = 100;
/** One of so many runs is cancelled as soon as it is acknowledged. */
const CANCEL_ONE_OF = 20;

class Client implements ChaosClient {
  readonly acknowledged: Acknowledged[] = [];
  readonly surprises: string[] = [];
  readonly #apiUrl: string;
  readonly #random: () => number;
  #retries = 0;

  constructor(apiUrl: string, seed: number) {
    this.#apiUrl = apiUrl;
    this.#random = createRandom(seed, 'client');
  }

  readonly retries = (): number => this.#retries;

  async askForAll(count: number): Promise<void> {
    let next = 0;
    const work = async (): Promise<void> => {
      for (let at = next++; at < count; at = next++) await this.#askFor(at);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  async #askFor(at: number): Promise<void> {
    const key = `chaos-${at}`;
    const agent = CHAOS_AGENTS[at % CHAOS_AGENTS.length];
    const replay = this.#random() < 0.1 ? 'fail' : 'requeue';
    const isToCancel = this.#random() < 1 / CANCEL_ONE_OF;
    const json = { agent, prompt: key, program: PROGRAM, replay, title: key, workspace: `w${at % 40}` };
    const { runId, seq } = await this.#insist(() =>
      api(this.#apiUrl, '/api/v1/runs', { json, headers: { 'idempotency-key': key } }),
    );
    this.acknowledged.push({ key, runId: String(runId), seq: Number(seq) });
    if (isToCancel)
      await this.#insist(() => api(this.#apiUrl, `/api/v1/runs/${String(runId)}/cancel`, { json: {} }));
  }

  /** Until it is acknowledged. */
  async #insist(send: () => ReturnType<typeof api>): Promise<Record<string, unknown>> {
    for (;;) {
      try {
        const { status, body } = await send();
        if (status === 202) return body;
        // A cancel may come before the summary shows the run.
        if (status < 500 && status !== 404) this.surprises.push(`${status} ${JSON.stringify(body)}`);
      } catch {
        // Nobody listens, or the answer was cut off.
      }
      this.#retries += 1;
      await systemClock.sleep(AGAIN_MS);
    }
  }
}

export const chaosClient = (apiUrl: string, seed: number): ChaosClient => new Client(apiUrl, seed);
