// What somebody tells everybody and wants no answer to, as a service hears it: each instance by itself, which takes a group of its own.
import type { ServedRequest } from './define-service.ts';
import { readJsonBody } from './json-body.ts';

interface Ear<News> {
  readonly subject: string;
  /** Of this instance alone, so that no other one has the news instead. */
  readonly group: string;
  /** Undefined: it is none of these news. */
  readonly read: (value: unknown) => News | undefined;
}

/** `tell` gets what is read of the body as JSON (undefined where it is none). */
export const heard = <News>(
  { subject, group, read }: Ear<News>,
  tell: (news: News) => void,
): ServedRequest => ({
  subject,
  group,
  handle: async ({ body }) => {
    const news = read(readJsonBody(body));
    if (news !== undefined) tell(news);
    return { body: new Uint8Array() };
  },
});
