// What somebody tells everybody and wants no answer to, as a service hears it: each instance by itself, which takes a group of its own.
import type { ServedRequest } from './define-service.ts';
import { readJsonBody } from './json-body.ts';

/** `tell` gets the body as JSON; undefined: it is none. `group`: of this instance alone, so that no other one has the news instead. */
export const heard = (subject: string, group: string, tell: (value: unknown) => void): ServedRequest => ({
  subject,
  group,
  handle: async ({ body }) => {
    tell(readJsonBody(body));
    return { body: new Uint8Array() };
  },
});
