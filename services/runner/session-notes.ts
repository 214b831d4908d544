// Which conversation of its program each session is in, kept beside the buffer's records and changed in the same transactions as the
// reports that tell of it. Of this runner only: another runner of the session begins a new conversation.
import { z } from 'zod';
import type { Note, Outbox } from '#libs/outbox/outbox.ts';
import { providerSchema, usageSchema, type ProviderName } from '#streams/run.ts';
import type { ResumePoint } from './providers/turn-facts.ts';

const PREFIX = 'session:';

const noteSchema = z.object({
  provider: providerSchema,
  providerSessionId: z.string().min(1),
  counters: usageSchema,
});

export interface SessionNotes {
  /** Undefined: the session has no conversation with this kind of program; also when its note cannot be read. */
  read(sessionId: string, provider: ProviderName): ResumePoint | undefined;
  /** The change that keeps where the session stands, or forgets it; commit it together with the report that says so. */
  change(sessionId: string, provider: ProviderName, point: ResumePoint | 'gone'): Note;
}

export const createSessionNotes = (outbox: Pick<Outbox, 'note'>): SessionNotes => ({
  read: (sessionId, provider) => {
    const { data } = noteSchema.safeParse(outbox.note(PREFIX + sessionId));
    if (data === undefined || data.provider !== provider) return undefined;
    return { providerSessionId: data.providerSessionId, counters: data.counters };
  },
  change: (sessionId, provider, point) => ({
    key: PREFIX + sessionId,
    value: point === 'gone' ? null : { provider, ...point },
  }),
});
