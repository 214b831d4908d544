// An event log whose appends are counted and timed. Changes nothing about them.
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { LogHooks } from '#libs/telemetry/hooks.ts';

type Outcome = Parameters<LogHooks['append']>[1];

/** The same log, measured by `hooks`. */
export const measuredLog = (log: EventLog, hooks: LogHooks, clock: Clock): EventLog => {
  const { stream } = log;
  const measured = async <Result>(
    work: Promise<Result>,
    outcomeOf: (result: Result) => Outcome,
  ): Promise<Result> => {
    const startedAt = clock.monotonicMs();
    let outcome: Outcome = 'failed';
    try {
      const result = await work;
      outcome = outcomeOf(result);
      return result;
    } finally {
      hooks.append(stream, outcome, clock.monotonicMs() - startedAt);
    }
  };
  const named = (result: { readonly kind: 'appended' | 'conflict'; readonly duplicate?: boolean }): Outcome =>
    result.duplicate === true ? 'duplicate' : result.kind;
  return {
    stream,
    append: (entry) => measured(log.append(entry), named),
    appendTogether: (entries) => {
      hooks.groupCommit(stream, entries.length);
      return measured(log.appendTogether(entries), named);
    },
    appendInOrder: (entries) =>
      measured(log.appendInOrder(entries), (outcomes) => named(outcomes.at(-1) ?? { kind: 'appended' })),
    last: (subject) => log.last(subject),
    lastSeen: (subject) => log.lastSeen(subject),
    read: (subject, fromSeq) => log.read(subject, fromSeq),
    replay: (options) => log.replay(options),
    replayTogether: (options) => log.replayTogether(options),
    bounds: () => log.bounds(),
  };
};
