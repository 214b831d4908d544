// Which conversation of its program each session is in and what it was about, kept beside the buffer's records and changed in the same
// transactions as the reports that tell of it. Of this runner only: another runner of the session begins a new conversation.
import { z } from 'zod';
import type { Note, Outbox } from '#libs/outbox/outbox.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import { providerSchema, type ProviderName } from '#streams/run.ts';
import { turnResultSchema, usageSchema } from '#streams/turn-result.ts';
import type { ResumePoint } from './providers/turn-facts.ts';
import { prunable, type KeepRule } from './session-prune.policy.ts';
import { recapOf, withTurn, type Recap, type RecapTurn } from './session-recap.policy.ts';

const PREFIX = 'session:';

const noteSchema = z.object({
  provider: providerSchema,
  providerSessionId: z.string().min(1),
  counters: usageSchema,
  /** Absent in notes of older versions: as old as can be. */
  usedAt: z.number().default(0),
  turns: z
    .array(
      z.object({
        endedAt: z.number(),
        prompt: z.string(),
        outcome: turnResultSchema.shape.outcome,
        summary: z.string(),
      }),
    )
    .default([]),
});

export interface SessionNotes {
  /** Undefined: the session has no conversation with this kind of program; also when its note cannot be read. */
  read(sessionId: string, provider: ProviderName): ResumePoint | undefined;
  /** What the session was about so far. */
  recap(sessionId: string, provider: ProviderName): Recap;
  /**
   * The change that keeps where the session stands, or forgets it; commit it together with the report that says so. `turn`: what was asked
   * and what came of it; redacted here.
   */
  change(
    sessionId: string,
    provider: ProviderName,
    point: ResumePoint | 'gone',
    turn?: Omit<RecapTurn, 'endedAt'>,
  ): Note;
  /** The changes that give up what is not worth keeping; nothing of the sessions in use. */
  prune(rule: KeepRule, inUse: ReadonlySet<string>): readonly Note[];
}

export interface SessionNotesParts {
  readonly outbox: Pick<Outbox, 'note' | 'notes'>;
  readonly clock: Clock;
  readonly redactor: Redactor;
}

export const createSessionNotes = ({ outbox, clock, redactor }: SessionNotesParts): SessionNotes => {
  const noteOf = (sessionId: string, provider: ProviderName): z.infer<typeof noteSchema> | undefined => {
    const { data } = noteSchema.safeParse(outbox.note(PREFIX + sessionId));
    return data?.provider === provider ? data : undefined;
  };
  return {
    read: (sessionId, provider) => {
      const note = noteOf(sessionId, provider);
      return note && { providerSessionId: note.providerSessionId, counters: note.counters };
    },
    recap: (sessionId, provider) => recapOf(noteOf(sessionId, provider)?.turns ?? []),
    change: (sessionId, provider, point, turn) => {
      const key = PREFIX + sessionId;
      if (point === 'gone') return { key, value: null };
      const usedAt = clock.now();
      const before = noteOf(sessionId, provider)?.turns ?? [];
      const turns =
        turn === undefined
          ? before
          : withTurn(before, {
              ...turn,
              prompt: redactor.text(turn.prompt).value,
              summary: redactor.text(turn.summary).value,
              endedAt: usedAt,
            });
      return { key, value: { provider, ...point, usedAt, turns } };
    },
    prune: (rule, inUse) => {
      const sessions = [...outbox.notes(PREFIX)].map(([key, value]) => ({
        sessionId: key.slice(PREFIX.length),
        usedAt: noteSchema.safeParse(value).data?.usedAt ?? 0,
      }));
      return prunable(sessions, rule, clock.now(), inUse).map((sessionId) => ({
        key: PREFIX + sessionId,
        value: null,
      }));
    },
  };
};
