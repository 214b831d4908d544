// The loops of a runner's mail: what its agent owes, its messages, and the turns that bring them. Everything they do is elsewhere.
import type { DeadLetters } from '#libs/consumers/dead-letters.ts';
import { ok } from '#libs/consumers/disposition.ts';
import type { Loop, ServiceContext } from '#libs/service/context.ts';
import { consumerLoop } from '#libs/service/loops.ts';
import { readOwedValue } from '#services/runner/obligations/obligation-source.ts';
import type { RunnerConfig } from '#services/runner/runner-config.ts';
import { ACK_WAIT_MS, mailboxConsumerName, obligationsConsumerName } from '#streams/consumers.ts';
import { OBLIGATIONS_STREAM } from '#streams/mail-views.ts';
import { decodeMessage, takeMessage } from './mail-intake.ts';
import type { RunnerMail } from './runner-mail.ts';

/** Messages in hand at once: as many as the durable consumer hands out. */
const MOST_IN_HAND = 64;

/** Hears what the agent owes and, unless mail is switched off, takes its messages and brings them to it. */
export const mailLoops = (
  context: ServiceContext<RunnerConfig>,
  mail: RunnerMail,
  deadLetters: DeadLetters,
): readonly Loop[] => {
  const { tenant, project, agent, mail: isOn } = context.config;
  const mailConsumer = mailboxConsumerName({ tenant, project }, agent);
  const owedConsumer = obligationsConsumerName({ tenant, project }, agent);
  const limits = { maxInHand: MOST_IN_HAND, width: MOST_IN_HAND, ackWaitMs: ACK_WAIT_MS };
  const hearing = consumerLoop(context, {
    name: owedConsumer,
    queue: context.queue(OBLIGATIONS_STREAM, owedConsumer),
    decode: readOwedValue,
    lane: () => 'owed',
    handle: async (value) => {
      mail.obligations.take(value);
      return ok;
    },
    deadLetters,
    limits: { ...limits, width: 1 },
  });
  if (!isOn) return [hearing];
  const taking = consumerLoop(context, {
    name: mailConsumer,
    queue: context.queue('MESSAGES', mailConsumer),
    decode: decodeMessage,
    lane: ({ messageId }) => messageId,
    handle: takeMessage(mail),
    deadLetters,
    limits,
  });
  return [hearing, taking, { name: 'mail-turns', run: (signal) => mail.turns.run(signal) }];
};
