// Messages in the order in which they are listed, newest first, by recipient, kept beside the view of the bucket.
import type { z } from 'zod';
import type { ReadView } from '#libs/projections/read-view.ts';
import { messageViewSchema, type MessageView } from '#streams/mail-views.ts';
import type { ListPosition } from './cursor.ts';
import { TimeIndex, type TimePage } from './time-index.ts';

const rowSchema = messageViewSchema.pick({
  messageId: true,
  threadId: true,
  from: true,
  to: true,
  kind: true,
  state: true,
  sentAt: true,
});

/** What messageRowOf looks at. */
export const MESSAGE_ROW_FIELDS = Object.keys(rowSchema.shape);

/** What the order and the filters need of a message. */
export interface MessageRow extends ListPosition, Omit<z.infer<typeof rowSchema>, 'messageId' | 'sentAt'> {
  /** Of its value in the bucket. */
  readonly key: string;
}

/** The row of a value of the bucket; throws for what is none. */
export const messageRowOf = (value: unknown, key: string): MessageRow => {
  const { messageId, sentAt, ...row } = rowSchema.parse(value);
  return { id: messageId, key, atMs: sentAt, ...row };
};

export interface MessageListing {
  readonly to?: string | undefined;
  readonly from?: string | undefined;
  readonly thread?: string | undefined;
  readonly state?: readonly MessageRow['state'][] | undefined;
  readonly kind?: readonly MessageRow['kind'][] | undefined;
  readonly after?: ListPosition | undefined;
  readonly limit: number;
}

export class MessageIndex {
  readonly #byRecipient = new TimeIndex<MessageRow>(({ to }) => to);

  /** Follows the view from now on. */
  constructor(view: Pick<ReadView<Omit<MessageView, 'seq'>, MessageRow>, 'follow'>) {
    view.follow((before, after) => {
      if (before !== undefined) this.#byRecipient.remove(before);
      if (after !== undefined) this.#byRecipient.add(after);
    });
  }

  /** See {@link TimeIndex.sort}. */
  sort(): void {
    this.#byRecipient.sort();
  }

  page({ to, from, thread, state, kind, after, limit }: MessageListing): TimePage<MessageRow> {
    return this.#byRecipient.page(
      { after, limit },
      (name) => to === undefined || name === to,
      (row) =>
        (from === undefined || row.from === from) &&
        (thread === undefined || row.threadId === thread) &&
        (state === undefined || state.includes(row.state)) &&
        (kind === undefined || kind.includes(row.kind)),
    );
  }
}
