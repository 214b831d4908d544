// The local snapshot of obligations on a real buffer, with fetches that a test answers by hand.
import type { Outbox } from '#libs/outbox/outbox.ts';
import {
  createObligations,
  type ObligationObservation,
  type Obligations,
} from '#services/runner/obligations/obligations.ts';
import type { OwedReply, OwedValue } from '#services/runner/obligations/obligation-snapshot.policy.ts';
import type { OutboxRig } from './outbox-rig.ts';

/** An obligation. */
export const owes = (messageId: string, from = 'user'): OwedReply => ({
  messageId,
  from,
  subject: null,
  sentAt: 1,
  deliveredAt: 2,
  injectedAt: null,
});
/** What is projected at a sequence. */
export const value = (seq: number, ...ids: string[]): OwedValue => ({
  seq,
  revision: seq * 10,
  owed: ids.map((id) => owes(id)),
});

interface Fetches {
  readonly fetch: () => Promise<OwedValue>;
  /** Fetches asked for so far. */
  count(): number;
  /** Answers the oldest that waits. */
  answer(value: OwedValue): Promise<void>;
  fail(message: string): Promise<void>;
}

const scriptedFetches = ({ clock }: OutboxRig): Fetches => {
  const waiting: PromiseWithResolvers<OwedValue>[] = [];
  let count = 0;
  const next = (): PromiseWithResolvers<OwedValue> => {
    const first = waiting.shift();
    if (first === undefined) throw new Error('no fetch waits');
    return first;
  };
  return {
    fetch: () => {
      count += 1;
      const promise = Promise.withResolvers<OwedValue>();
      waiting.push(promise);
      return promise.promise;
    },
    count: () => count,
    answer: async (given) => {
      next().resolve(given);
      await clock.settle();
    },
    fail: async (message) => {
      next().reject(new Error(message));
      await clock.settle();
    },
  };
};

export interface ObligationWorld {
  readonly fetches: Fetches;
  readonly seen: ObligationObservation[];
  readonly outbox: Outbox;
  readonly obligations: Obligations;
}

/** Not started yet. */
export const obligationWorld = (rig: OutboxRig, outbox: Outbox = rig.start()): ObligationWorld => {
  const fetches = scriptedFetches(rig);
  const seen: ObligationObservation[] = [];
  const { clock } = rig;
  const observe = (one: ObligationObservation): void => void seen.push(one);
  const obligations = createObligations({ fetch: fetches.fetch, outbox, clock, observe });
  return { fetches, seen, outbox, obligations };
};

/** The messages that wait for a reply. */
export const idsOf = ({ obligations }: ObligationWorld): string[] =>
  obligations.current().owed.map(({ messageId }) => messageId);

/** Has heard `first`. */
export const startedWorld = async (
  rig: OutboxRig,
  first: OwedValue,
  outbox?: Outbox,
): Promise<ObligationWorld> => {
  const world = obligationWorld(rig, outbox);
  world.obligations.start();
  await world.fetches.answer(first);
  return world;
};
