// Cursors. A feed position is a vector `t<seq>.e<seq>`: everything up to those sequences of TRANSITIONS and EVENTS has been
// seen. A list cursor is opaque and names the last item shown. Pure.
import { Fault } from '#libs/kernel/fault.ts';

/** Last sequences seen of TRANSITIONS and EVENTS. */
export interface FeedPosition {
  readonly transitions: number;
  readonly events: number;
}

export const FEED_START: FeedPosition = { transitions: 0, events: 0 };

const invalid = (text: string, expected: string): Fault =>
  new Fault({
    code: 'CURSOR_INVALID',
    retry: 'never',
    message: `${JSON.stringify(text.slice(0, 80))} is not a cursor of this API; expected ${expected}`,
  });

export const formatPosition = ({ transitions, events }: FeedPosition): string => `t${transitions}.e${events}`;

/** Throws `CURSOR_INVALID` (never). */
export const parsePosition = (text: string): FeedPosition => {
  const match = /^t(\d{1,15})\.e(\d{1,15})$/.exec(text);
  if (match === null) throw invalid(text, 't<seq>.e<seq>, as an earlier answer gave it');
  return { transitions: Number(match[1]), events: Number(match[2]) };
};

/**
 * A position ahead of the streams is of other data: following it would skip what is still to come, without a word.
 * Throws `CURSOR_INVALID` (never).
 */
export const checkReached = (position: FeedPosition, last: FeedPosition): void => {
  if (position.transitions <= last.transitions && position.events <= last.events) return;
  throw new Fault({
    code: 'CURSOR_INVALID',
    retry: 'never',
    message: `the cursor is ahead of the streams (${formatPosition(last)}): it is of other data; start again without it`,
  });
};

/** The last item of a page: lists are ordered by time, newest first, then by id. */
export interface ListPosition {
  readonly atMs: number;
  readonly id: string;
}

export const formatListCursor = ({ atMs, id }: ListPosition): string =>
  Buffer.from(`${atMs}:${id}`).toString('base64url');

/** Throws `CURSOR_INVALID` (never). */
export const parseListCursor = (text: string): ListPosition => {
  const match = /^(\d{1,15}):([A-Za-z0-9_-]{1,100})$/.exec(Buffer.from(text, 'base64url').toString('utf8'));
  if (match?.[2] === undefined) throw invalid(text, 'the cursor of an earlier page');
  return { atMs: Number(match[1]), id: match[2] };
};

/** True when `a` stands before `b` in a list: newer, or as new with the greater id. */
export const isBefore = (a: ListPosition, b: ListPosition): boolean =>
  a.atMs > b.atMs || (a.atMs === b.atMs && a.id > b.id);
