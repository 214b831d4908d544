// One message of the gateway's live stream as a line for people. Pure; a message it cannot read is shown as it came.
import type { ApiEvent } from '#services/client/api-stream.ts';
import { z } from 'zod';
import { shownLine } from './entry-line.ts';

const itemSchema = z.object({
  stream: z.string(),
  seq: z.number(),
  storedAt: z.number(),
  subject: z.string(),
  type: z.string().default('unreadable'),
  data: z.unknown(),
});

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** The sequence of a message that is a transition, or undefined. */
export const transitionSeq = (data: string): number | undefined => {
  const parsed = itemSchema.safeParse(jsonOf(data));
  return parsed.success && parsed.data.stream === 'TRANSITIONS' ? parsed.data.seq : undefined;
};

/** The line of an item of a page or a live stream; one that cannot be read is shown as it came. */
export const itemLine = (value: unknown): string => {
  const parsed = itemSchema.safeParse(value);
  if (!parsed.success) return JSON.stringify(value);
  const { subject, ...item } = parsed.data;
  // fleet.<tenant>.<project>.<family>.<p>.<id>[.<type>]
  return shownLine({ ...item, about: subject.split('.')[5] ?? subject });
};

/** The line of a message; undefined for one that says nothing to people (`live`: the past has been shown). `gone` says that part of the past is no longer kept. */
export const messageLine = (message: Pick<ApiEvent, 'event' | 'text'>): string | undefined => {
  if (message.event === 'live') return undefined;
  const value = jsonOf(message.text);
  if (!itemSchema.safeParse(value).success) return `${message.event}: ${message.text}`;
  return itemLine(value);
};
