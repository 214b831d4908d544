// Receipts: the same request under the same idempotency key gives the first answer again, for as long as the receipt lives, whatever has
// become of the work and of the settings since; another request under the key is refused. The receipt is looked up before anything else.
//
//   absent ─claimed→ pending ─answered→ answered, replayed to every repeat
//                    pending ─refused, or never sent→ absent (nothing was done, so the key is free)
//   A crash leaves it pending: the repeat does the work again with the same ids and defaults, so it finds what was done.
import { createHash } from 'node:crypto';
import { rejection } from '#libs/kernel/rejection.ts';
import { toFault, type Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { receiptKey, receiptSchema, type Receipt, type WorkDefaults } from '#streams/receipts.ts';
import type { Boundary } from '#streams/subjects.ts';
import { inTime } from './deadline.ts';
import type { Refused } from './http.ts';

/** What is asked under a key. */
export interface KeyedRequest {
  /** The idempotency key within whoever asks. */
  readonly key: string;
  readonly method: string;
  /** The path as asked, ids and all: one key may be used once for each. */
  readonly path: string;
  /** The body, parsed. */
  readonly body: unknown;
  readonly by: string;
}

/** What a request comes to. */
export type Outcome = { readonly status: number; readonly body: string; readonly location: string | null };

export interface Receipts {
  /**
   * The first answer of the request, `work` being done at most until there is one. `isRepeated`: it was given before. A refusal is not kept.
   * Refusal: `KEY_CONFLICTING_REQUEST`. Faults: the bucket's, in time, and those of `work`.
   */
  once(
    request: KeyedRequest,
    work: (defaults: WorkDefaults) => Promise<Outcome | Refused>,
  ): Promise<(Outcome & { readonly isRepeated: boolean }) | Refused>;
}

interface Parts {
  readonly bucket: KeyValue;
  readonly boundary: Boundary;
  readonly clock: Clock;
  /** How long a receipt lives, whole seconds. */
  readonly ttlMs: number;
  readonly defaults: WorkDefaults;
  /** How long a caller is kept waiting for the bucket, ms. */
  readonly withinMs: number;
  /** A receipt could not be written or cleared; the work is done, or was refused, all the same. */
  readonly onTrouble: (fault: Fault) => void;
}

/** JSON in one form, whatever the order of its fields. */
const canonical = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, inner]) => `${JSON.stringify(name)}:${canonical(inner)}`).join(',')}}`;
};

const sha256 = (parts: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex');

const conflicting = ({ path }: KeyedRequest): Refused => ({
  refused: rejection(
    'KEY_CONFLICTING_REQUEST',
    `another request to ${path.slice(0, 200)} was made under this idempotency key; the first one stands`,
  ),
});

/** A claim on a key, or what was found under it. */
interface Claim {
  readonly receipt: Receipt;
  readonly revision: number;
}

class ReceiptBook implements Receipts {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async once(
    request: KeyedRequest,
    work: (defaults: WorkDefaults) => Promise<Outcome | Refused>,
  ): Promise<(Outcome & { readonly isRepeated: boolean }) | Refused> {
    const place = receiptKey(this.#parts.boundary, sha256([request.by, request.path, request.key]));
    const requestHash = sha256([request.method, request.path, canonical(request.body)]);
    // A claim that is written after its deadline is as one that a crash left behind: the repeat goes on from it.
    const { receipt, revision } = await this.#inTime('receipt', this.#claim(place, request, requestHash));
    if (receipt.requestHash !== requestHash) return conflicting(request);
    if (receipt.answer !== undefined) return { ...receipt.answer, isRepeated: true };
    let outcome: Outcome | Refused;
    try {
      outcome = await work(receipt.defaults);
    } catch (error) {
      // What may have been done keeps its claim, so that the repeat asks for just the same.
      if (toFault(error).retry === 'never') await this.#release(place, revision);
      throw error;
    }
    if ('refused' in outcome) {
      await this.#release(place, revision);
      return outcome;
    }
    await this.#settle(place, { receipt: { ...receipt, answer: outcome }, revision });
    return { ...outcome, isRepeated: false };
  }

  async #claim(place: string, request: KeyedRequest, requestHash: string): Promise<Claim> {
    const { bucket, clock, ttlMs, defaults } = this.#parts;
    const receipt: Receipt = {
      requestHash,
      request: `${request.method} ${request.path}`,
      by: request.by,
      receivedAt: clock.now(),
      defaults,
    };
    for (;;) {
      const put = await bucket.put(place, jsonBytes(receipt), { expectedRevision: 0, ttlMs });
      if (put.kind === 'stored') return { receipt, revision: put.revision };
      const found = await bucket.get(place);
      const parsed = receiptSchema.safeParse(found === undefined ? undefined : parseJson(found.value));
      if (found !== undefined && parsed.success) return { receipt: parsed.data, revision: found.revision };
      // Released or expired in between, or not a receipt: it is claimed anew.
      if (found !== undefined) await bucket.delete(place, { expectedRevision: found.revision });
    }
  }

  #inTime<Result>(what: string, work: Promise<Result>): Promise<Result> {
    const { clock, withinMs } = this.#parts;
    return inTime(work, { clock, withinMs, what: `the ${what} of the request` });
  }

  /** Nobody did anything under the key. */
  async #release(place: string, revision: number): Promise<void> {
    try {
      await this.#inTime('release', this.#parts.bucket.delete(place, { expectedRevision: revision }));
    } catch (error) {
      this.#parts.onTrouble(toFault(error));
    }
  }

  /** Another request that did the same at the same time may have been quicker: its answer is as good. */
  async #settle(place: string, { receipt, revision }: Claim): Promise<void> {
    const { bucket, ttlMs, onTrouble } = this.#parts;
    try {
      const put = bucket.put(place, jsonBytes(receipt), { expectedRevision: revision, ttlMs });
      await this.#inTime('answer', put);
    } catch (error) {
      onTrouble(toFault(error));
    }
  }
}

export const createReceipts = (parts: Parts): Receipts => new ReceiptBook(parts);
