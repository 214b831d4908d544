// What happens in a runner, as lines of its log. Bodies and prompts are never in them.
import type { OutboxEvent } from '#libs/outbox/outbox.ts';
import type { Logger } from '#libs/telemetry/logger.ts';
import { contextRatio, type CallCounts } from './tool-calls.policy.ts';
import type { TurnObservation } from './turn-parts.ts';

const WARNINGS: ReadonlySet<OutboxEvent['kind']> = new Set([
  'unreachable',
  'refused',
  'shed',
  'letter-failed',
  'storage-failed',
]);
const ERRORS: ReadonlySet<OutboxEvent['kind']> = new Set(['lost', 'parked', 'unreadable-row']);

/** Events of the buffer. */
export const logOutbox =
  (logger: Logger) =>
  ({ kind, ...fields }: OutboxEvent): void => {
    const message = `buffer: ${kind}`;
    if (ERRORS.has(kind)) logger.error(message, fields);
    else if (WARNINGS.has(kind)) logger.warn(message, fields);
    else logger.info(message, fields);
  };

/** `0.67 (4/6)`: the share of tool calls that only gathered context; nothing without calls. */
const contextWords = (calls: CallCounts): { readonly context?: string } => {
  const ratio = contextRatio(calls);
  const { gatheringCalls, totalToolCalls } = calls;
  return ratio === null ? {} : { context: `${ratio.toFixed(2)} (${gatheringCalls}/${totalToolCalls})` };
};

/** What happens to turns. */
export const logTurn =
  (logger: Logger) =>
  (observation: TurnObservation): void => {
    const { runId } = observation;
    if (observation.kind === 'phase') {
      const { state } = observation;
      const fields = { runId, phase: state.phase, ...(state.phase === 'over' && { end: state.end }) };
      logger.debug('turn: phase', fields);
      if (state.phase === 'over' && state.end === 'lost')
        logger.warn('turn: the run is not ours any more', fields);
    } else if (observation.kind === 'finished') {
      const { outcome, failure, durationMs, events } = observation.result;
      const { leftovers, calls } = observation;
      const context = contextWords(calls);
      logger.info('turn: finished', { runId, outcome, failure, durationMs, events, leftovers, ...context });
    } else if (observation.kind === 'claim-refused')
      logger.info('turn: claim refused', { runId, code: observation.code });
    else if (observation.kind === 'parked')
      logger.info('turn: parked until a person answers', { runId, tool: observation.tool });
    else logger.warn('turn: nobody answers', { runId, reason: observation.message });
  };
