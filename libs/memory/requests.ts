// Request and reply in memory: instances of one group take turns, each group gets its copy, the first answer wins.
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import {
  MAX_REQUESTS_IN_HAND,
  type RequestClient,
  type RequestMessage,
  type RequestServer,
} from '#libs/ports/requests.ts';
import { type FaultSwitch, unreachableBroker } from './faults.ts';
import { matchesSubject } from './subject-match.ts';

type Answer = Awaited<ReturnType<RequestClient['request']>>;
type Handler = Parameters<RequestServer['serve']>[2];

interface Instance {
  readonly subject: string;
  readonly group: string;
  readonly handler: Handler;
  readonly inProgress: Set<Promise<unknown>>;
}

const unanswered = (subject: string, why: string): Fault =>
  new Fault({
    code: 'REQUEST_UNANSWERED',
    retry: 'later',
    message: `${subject}: ${why}`,
    detail: { subject },
  });

const busy = (subject: string): Fault =>
  new Fault({
    code: 'REQUEST_BUSY',
    retry: 'later',
    message: `${subject}: the server has too much in hand; try again`,
    detail: { subject },
  });

const call = async (instance: Instance, message: RequestMessage): Promise<Answer> => {
  if (instance.inProgress.size >= MAX_REQUESTS_IN_HAND) throw busy(message.subject);
  const work = Promise.resolve().then(() => instance.handler(message));
  instance.inProgress.add(work);
  try {
    const { headers = {}, body } = await work;
    return { headers: { ...headers }, body: body.slice() };
  } finally {
    instance.inProgress.delete(work);
  }
};

/** Both sides of request and reply over one broker. */
export const createMemoryRequests = (parts: {
  readonly clock: Clock;
  readonly faults: FaultSwitch;
}): RequestClient & RequestServer => {
  const { clock, faults } = parts;
  let instances: Instance[] = [];

  /** One instance of each group that serves the subject; the chosen go to the end of the line. */
  const chosenFor = (subject: string): Instance[] => {
    const byGroup = new Map<string, Instance>();
    for (const instance of instances)
      if (!byGroup.has(instance.group) && matchesSubject(instance.subject, subject))
        byGroup.set(instance.group, instance);
    const chosen = new Set(byGroup.values());
    instances = [...instances.filter((instance) => !chosen.has(instance)), ...chosen];
    return [...chosen];
  };

  return {
    request: async (subject, body, { timeoutMs, headers = {} }) => {
      faults.check('REQUEST_UNAVAILABLE');
      const chosen = chosenFor(subject);
      if (chosen.length === 0) throw unanswered(subject, 'nobody serves it');
      const message: RequestMessage = { subject, headers: { ...headers }, body: body.slice() };
      const { promise: timedOut, reject } = Promise.withResolvers<never>();
      const cancel = clock.timer(timeoutMs, () =>
        reject(unanswered(subject, `no answer within ${timeoutMs} ms`)),
      );
      const answers = Promise.any(chosen.map((instance) => call(instance, message))).catch(
        (cause: unknown) => {
          const turnedAway = (cause as AggregateError).errors.find(
            (error) => (error as Fault).code === 'REQUEST_BUSY',
          );
          throw turnedAway ?? unanswered(subject, `every handler failed: ${String(cause)}`);
        },
      );
      try {
        const answer = await Promise.race([answers, timedOut]);
        if (faults.isAway) throw unreachableBroker('REQUEST_UNAVAILABLE');
        if (faults.happens('loseAnswer')) throw unanswered(subject, 'the answer was lost');
        return answer;
      } finally {
        cancel();
      }
    },
    serve: (subject, group, handler) => {
      const instance: Instance = { subject, group, handler, inProgress: new Set() };
      instances.push(instance);
      return {
        stop: async () => {
          instances = instances.filter((other) => other !== instance);
          await Promise.allSettled(instance.inProgress);
        },
      };
    },
  };
};
