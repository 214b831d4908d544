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

/** Who serves what. */
class Servers {
  /** Those whose turn it is first stand first. */
  #instances: Instance[] = [];

  add(instance: Instance): void {
    this.#instances.push(instance);
  }

  remove(instance: Instance): void {
    this.#instances = this.#instances.filter((other) => other !== instance);
  }

  /** One instance of each group that serves the subject; the chosen go to the end of the line. */
  chosenFor(subject: string): readonly Instance[] {
    const byGroup = new Map<string, Instance>();
    for (const instance of this.#instances)
      if (!byGroup.has(instance.group) && matchesSubject(instance.subject, subject))
        byGroup.set(instance.group, instance);
    const chosen = [...byGroup.values()];
    for (const instance of chosen) {
      this.#instances.splice(this.#instances.indexOf(instance), 1);
      this.#instances.push(instance);
    }
    return chosen;
  }
}

/** The first answer of them. */
const firstOf = async (subject: string, answers: readonly Promise<Answer>[]): Promise<Answer> => {
  try {
    return await (answers.length === 1 && answers[0] !== undefined ? answers[0] : Promise.any(answers));
  } catch (cause) {
    const errors: readonly unknown[] = cause instanceof AggregateError ? cause.errors : [cause];
    const turnedAway = errors.find((error) => (error as Fault).code === 'REQUEST_BUSY');
    throw turnedAway ?? unanswered(subject, `every handler failed: ${errors.map(String).join('; ')}`);
  }
};

/** Both sides of request and reply over one broker. */
export const createMemoryRequests = (parts: {
  readonly clock: Clock;
  readonly faults: FaultSwitch;
}): RequestClient & RequestServer => {
  const { clock, faults } = parts;
  const servers = new Servers();

  /** The way to the servers and back. */
  const send = async (message: RequestMessage): Promise<Answer> => {
    const { subject } = message;
    const place = { name: subject };
    const chosen = servers.chosenFor(subject);
    if (chosen.length === 0) throw unanswered(subject, 'nobody serves it');
    if (faults.happens('dropRequest', place)) throw unanswered(subject, 'the request was lost');
    const lateMs = faults.delayMs('requestDelayMs', place);
    if (lateMs > 0) await clock.sleep(lateMs);
    const answers = chosen.map((instance) => call(instance, message));
    if (faults.happens('repeatRequest', place))
      for (const instance of servers.chosenFor(subject)) call(instance, message).catch(() => undefined);
    const answer = await firstOf(subject, answers);
    if (faults.isAway) throw unreachableBroker('REQUEST_UNAVAILABLE');
    if (faults.happens('loseAnswer', place)) throw unanswered(subject, 'the answer was lost');
    return answer;
  };

  return {
    request: (subject, body, { timeoutMs, headers = {} }) =>
      new Promise((resolve, reject) => {
        if (faults.isAway) return reject(unreachableBroker('REQUEST_UNAVAILABLE'));
        const cancel = clock.timer(timeoutMs, () =>
          reject(unanswered(subject, `no answer within ${timeoutMs} ms`)),
        );
        send({ subject, headers: { ...headers }, body: body.slice() })
          .then(resolve, reject)
          .finally(cancel);
      }),
    serve: (subject, group, handler) => {
      const instance: Instance = { subject, group, handler, inProgress: new Set() };
      servers.add(instance);
      return {
        stop: async () => {
          servers.remove(instance);
          await Promise.allSettled(instance.inProgress);
        },
      };
    },
    heard: async () => undefined,
  };
};
