// Ids of messages that the system itself writes: they follow from what a message is about, so that writing it again is the same message.
import { createHash } from 'node:crypto';
import { idFromDigest } from '#streams/ids.ts';
import type { Boundary } from '#streams/subjects.ts';

/** The id of the one message about `subject` in a tenant and project. */
export const derivedMessageId = (
  { tenant, project }: Boundary,
  about: 'run-ended' | 'refused',
  subject: string,
): string =>
  idFromDigest(
    'message',
    createHash('sha256')
      .update(JSON.stringify([tenant, project, about, subject]))
      .digest(),
  );
