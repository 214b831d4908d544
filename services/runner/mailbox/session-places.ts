// Which workspace each conversation was last in, where its run named one: mail that joins the conversation goes on there. Kept beside the
// buffer's records.
import { z } from 'zod';
import type { Note, Outbox } from '#libs/outbox/outbox.ts';
import type { TurnInstruction } from '#streams/instructions.ts';

const PREFIX = 'session-place:';
const placeSchema = z.string().min(1);

export interface SessionPlaces {
  /** Undefined: its own, or not known. */
  read(sessionId: string): string | undefined;
  /** What there is to remember of a turn; commit it with the start. */
  changes(instruction: TurnInstruction): readonly Note[];
}

export const createSessionPlaces = (outbox: Pick<Outbox, 'note'>): SessionPlaces => {
  const read = (sessionId: string): string | undefined =>
    placeSchema.safeParse(outbox.note(PREFIX + sessionId)).data;
  return {
    read,
    changes: ({ sessionId, request }) => {
      const { workspace } = request;
      const isNew = workspace !== undefined && read(sessionId) !== workspace;
      return isNew ? [{ key: PREFIX + sessionId, value: workspace }] : [];
    },
  };
};
