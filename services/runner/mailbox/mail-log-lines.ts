// What happens to mail, as lines of the log. Texts and subjects are never in them.
import type { ObligationObservation } from '#services/runner/obligations/obligations.ts';
import type { Logger } from '#libs/telemetry/logger.ts';
import type { MailObservation } from './mail-turns.ts';

export const logMail =
  (logger: Logger) =>
  ({ kind, ...fields }: MailObservation): void => {
    const message = `mail: ${kind}`;
    if (kind === 'refused' || kind === 'not-started' || kind === 'away') logger.warn(message, fields);
    else logger.info(message, fields);
  };

export const logObligations =
  (logger: Logger) =>
  ({ kind, ...fields }: ObligationObservation): void => {
    const message = `obligations: ${kind}`;
    if (kind === 'not-kept') logger.warn(message, fields);
    else logger.debug(message, fields);
  };
