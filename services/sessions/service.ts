// Sessions — folds the transitions of runs into the summary of their session (bucket `sessions`). Decides nothing yet: a
// session has no rules of its own in this version. Any number of instances may run; one folds, the others stand by.
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import { defineService } from '#libs/service/define-service.ts';
import { projectionLoop } from '#libs/service/loops.ts';
import { buildDeadLetter } from '#streams/dead-letters.ts';
import { sessionsProjection } from './projections.ts';

export const sessions = defineService({
  name: 'sessions',
  loops: (context) => [
    projectionLoop(context, {
      projection: sessionsProjection,
      deadLetters: createDeadLetters({ log: context.log('DEADLETTERS'), build: buildDeadLetter }),
    }),
  ],
});
