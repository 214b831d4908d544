// The laws of commands: several processes, repeats and lost answers change nothing about what a history can be. Each command
// is in it at most once, every answer stays true, and the rule of the aggregate holds.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { add, close, commandHarness, type CounterHandler } from '#test/support/command-harness.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import { COUNTER_LIMIT, counterDecider } from '#test/support/tally.ts';

interface Request {
  readonly process: number;
  readonly counter: string;
  /** Commands with one number are repeats of one another. */
  readonly number: number;
}

const requests = fc.array(
  fc.record<Request>({
    process: fc.integer({ min: 0, max: 2 }),
    counter: fc.constantFrom('a', 'b'),
    number: fc.integer({ min: 0, max: 15 }),
  }),
  { minLength: 1, maxLength: 60 },
);

/** What command `number` asks for: fixed, as a repeat of it must be. */
const commandOf = (number: number) => (number === 13 ? close : add(50 + 40 * number));

type Answer = Awaited<ReturnType<CounterHandler['handle']>> | 'unknown';

test('each command is in the history at most once, and repeating it gives the same answer', async () => {
  await fc.assert(
    fc.asyncProperty(requests, fc.integer({ min: 2, max: 9 }), fc.boolean(), async (plan, every, isSlow) => {
      const { clock, broker, handler, log, history } = commandHarness();
      broker.faults.plan({
        loseAppendAck: (nth) => nth % every === 0,
        dropAppend: (nth) => nth % (every + 3) === 0,
        appendAckDelayMs: (nth) => (isSlow ? nth % 4 : 0),
      });
      const processes = Array.from({ length: 3 }, (_, at) => handler({ maxTries: 200, cacheSize: at }));
      const ask = async ({ process, counter, number }: Request): Promise<Answer> => {
        const commands = processes[process];
        if (commands === undefined) throw new Error('no such process');
        return commands
          .handle(counter, commandOf(number), { id: `${counter}-${number}` })
          .catch(() => 'unknown' as const);
      };
      const answering = Promise.all(plan.map((request) => ask(request)));
      await clock.advance(60_000);
      const answers = await answering;
      broker.faults.plan({});

      const seqs = new Map<string, number>();
      for (const counter of ['a', 'b']) {
        for await (const { headers, seq } of log.read(`counter.${counter}`)) {
          const id = headers['Nats-Msg-Id'] ?? '';
          expect(seqs.has(id), `${id} twice`).toBe(false);
          seqs.set(id, seq);
        }
        const events = await history(counter);
        const { sum } = fold(counterDecider, events);
        expect(sum).toBeLessThanOrEqual(COUNTER_LIMIT);
        const end = events.findIndex(({ type }) => type === 'closed');
        expect(end === -1 || end === events.length - 1, 'nothing follows the end').toBe(true);
      }
      const before = [await history('a'), await history('b')];
      for (const [at, { counter, number }] of plan.entries()) {
        const answer = answers[at];
        const id = `${counter}-${number}`;
        if (typeof answer === 'object' && answer.kind === 'accepted') expect(answer.seq).toBe(seqs.get(id));
        const again = handler().handle(counter, commandOf(number), { id });
        const outcome = await again;
        if (seqs.has(id))
          expect(outcome).toMatchObject({ kind: 'accepted', seq: seqs.get(id), repeated: true });
        else expect(outcome.kind).not.toBe('accepted.repeated');
        if (!seqs.has(id) && outcome.kind === 'accepted') {
          // Its first try was lost on the way: now it is stored, and a repeat from here on.
          seqs.set(id, outcome.seq);
          before[counter === 'a' ? 0 : 1] = await history(counter);
        }
      }
      expect([await history('a'), await history('b')]).toEqual(before);
    }),
    propertyRuns(100),
  );
});
