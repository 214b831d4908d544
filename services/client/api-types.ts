// The types of the client, derived from the declarations of the routes (streams/http): what each takes and answers.
import type { z } from 'zod';
import type { API } from '#streams/http/api.ts';

type Api = typeof API;
/** Operations by their name, as in the description of the API (`operationId`). */
export type ApiOperation = keyof Api;

/** `:id` and the like of a path. */
type ParamsOf<Path extends string> = Path extends `${string}:${infer Name}/${infer Rest}`
  ? Name | ParamsOf<Rest>
  : Path extends `${string}:${infer Name}`
    ? Name
    : never;

type Declared<Op extends ApiOperation> = Api[Op];

/** A query value as a program has it: numbers and lists are written as the API reads them. */
type Written<Schema extends z.ZodObject> = {
  readonly [Name in keyof z.input<Schema>]?:
    | z.input<Schema>[Name]
    | (Name extends keyof z.output<Schema> ? z.output<Schema>[Name] : never);
};

type PathPart<Op extends ApiOperation> = [ParamsOf<Declared<Op>['path']>] extends [never]
  ? { readonly path?: undefined }
  : { readonly path: Readonly<Record<ParamsOf<Declared<Op>['path']>, string>> };
type QueryPart<Op extends ApiOperation> =
  Declared<Op> extends { readonly query: infer Query extends z.ZodObject }
    ? { readonly query?: Written<Query> }
    : { readonly query?: undefined };
type BodyPart<Op extends ApiOperation> =
  Declared<Op> extends { readonly body: infer Body extends z.ZodObject }
    ? {
        readonly body: z.input<Body>;
        /** Default: one of the client's own, the same for every try. */
        readonly idempotencyKey?: string | undefined;
      }
    : { readonly body?: undefined; readonly idempotencyKey?: undefined };

/** What an operation is asked with. */
export type ApiInput<Op extends ApiOperation> = PathPart<Op> &
  QueryPart<Op> &
  BodyPart<Op> & { readonly signal?: AbortSignal };

/** What an operation answers. */
export type ApiAnswer<Op extends ApiOperation> = z.output<Declared<Op>['answer']>;

/** Operations that answer with a stream of events. */
export type StreamingOperation = {
  [Op in ApiOperation]: Api[Op] extends { readonly media: string } ? Op : never;
}[ApiOperation];
/** Operations that answer in pages. */
export type PagedOperation = {
  [Op in ApiOperation]: ApiAnswer<Op> extends { readonly next: unknown } | { readonly hasMore: boolean }
    ? Op
    : never;
}[ApiOperation];

/** Where the items of a page stand in its answer. */
export type ItemsKey<Op extends PagedOperation> = {
  [Key in keyof ApiAnswer<Op>]: ApiAnswer<Op>[Key] extends readonly unknown[] ? Key : never;
}[keyof ApiAnswer<Op>];
export type ItemOf<
  Op extends PagedOperation,
  Key extends ItemsKey<Op>,
> = ApiAnswer<Op>[Key] extends readonly (infer Item)[] ? Item : never;
