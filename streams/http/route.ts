// How a route of the HTTP API is declared: method, path, what goes in, what comes out. Everything that serves, asks for or describes the API
// works from these declarations (services/gateway, services/client, openapi.json), so none of them can say anything else. Pure data.
import { z } from 'zod';
import { nameSchema } from '#streams/ids.ts';

/** Media type of what comes as a stream of events; everything else is JSON. */
export const EVENT_STREAM = 'text/event-stream';

export interface ApiRoute {
  readonly method: 'GET' | 'POST';
  /** `/api/v1/runs/:id` */
  readonly path: string;
  /** One line for the description of the API. */
  readonly means: string;
  /** What there is to know besides, for the description. */
  readonly details?: string;
  /** What the query is read by: values are texts. */
  readonly query?: z.ZodObject;
  /** What the body is read by; only of `POST`. */
  readonly body?: z.ZodObject;
  /** What it answers: of an event stream, the data of one event. */
  readonly answer: z.ZodType;
  /** Status of that answer: 200 for reads, 202 for what was taken on. */
  readonly status: 200 | 202;
  /** Default `application/json`. */
  readonly media?: typeof EVENT_STREAM;
  /** Answered without a token, whatever the host. */
  readonly isOpen?: true;
  /** Changes nothing that others see, so that a token which only reads may post it. */
  readonly isReading?: true;
}

/** Routes by their name, which is the operation's id in the description and its name in the client. */
export type ApiTable = Readonly<Record<string, ApiRoute>>;

/** Tenant and project, when a request names them. */
export const boundaryShape = { tenant: nameSchema.optional(), project: nameSchema.optional() };

/** A number of items: what is none is a mistake (WK-60), its fraction is cut, and what is out of range is brought into it (ST-35). */
export const limitUpTo = (most: number) =>
  z
    .string()
    .regex(/^-?\d{1,15}(?:\.\d{1,15})?$/, `expected a number, 1 to ${most}`)
    .transform((text) => Math.min(most, Math.max(1, Math.trunc(Number(text)))))
    .pipe(z.int().min(1).max(most));

/** ND-09: pages of events have 500 items at most, lists 100. */
export const eventLimit = limitUpTo(500).default(100);
export const listLimit = limitUpTo(100).default(50);
export const seqQuery = z
  .string()
  .regex(/^\d{1,15}$/, 'expected a whole number, 0 or more')
  .transform(Number)
  .pipe(z.int().min(0).max(Number.MAX_SAFE_INTEGER));
/** As an earlier page gave it. */
export const cursorQuery = z.string().max(200);

/** Names of a list with commas between them. */
export const oneOrMore = <Name extends string>(names: readonly Name[]) =>
  z
    .string()
    .transform((text): unknown => text.split(','))
    .pipe(z.array(z.enum(names)).min(1));

export const boundaryQuery = z.strictObject(boundaryShape);
/** One thing, at least as of a sequence that a write has answered with. */
export const oneQuery = z.strictObject({ ...boundaryShape, afterSeq: seqQuery.optional() });

/** A sequence of the log that the answer of a write names: pass it to a read to see at least this. */
export const seqAnswer = z.int().positive();
/** Give it back as `cursor` to get the next page; null: this was the last. */
export const nextAnswer = z.string().nullable();

/** Where more is: paths on the same host. */
export const linksAnswer = <Name extends string>(...names: readonly Name[]) =>
  z.object(Object.fromEntries(names.map((name) => [name, z.string()])) as Record<Name, z.ZodString>);
