// The description of the HTTP API (OpenAPI 3.1), made from the declarations that the gateway serves by. Written to openapi.json, which is
// what the gateway answers with. Not used at run time.
import { z } from 'zod';
import { API } from './http/api.ts';
import type { ApiRoute } from './http/route.ts';

type Json = Readonly<Record<string, unknown>>;

/** Schemas with a name, once for the whole document. */
type Components = Record<string, Json>;

/** `#/$defs/Run` of one schema is `#/components/schemas/Run` of the document. */
const placed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(placed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === '$ref' && typeof inner === 'string'
        ? inner.replace('#/$defs/', '#/components/schemas/')
        : placed(inner),
    ]),
  );
};

const isClosed = ({ _zod: { def } }: z.core.$ZodType): boolean =>
  def.type === 'object' && (def as z.core.$ZodObjectDef).catchall?._zod.def.type === 'never';

/** What goes in, before it is parsed, is as strict as it is read; what comes out may have more fields in a later version. */
const schemaOf = (schema: z.ZodType, io: 'input' | 'output', components: Components): Json => {
  const made = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      if (jsonSchema.additionalProperties === false && !isClosed(zodSchema))
        delete jsonSchema.additionalProperties;
    },
  });
  const { $schema: _version, $defs = {}, id: _id, ...rest } = placed(made) as Record<string, Json>;
  for (const [name, definition] of Object.entries($defs)) {
    const { id: _own, ...named } = definition as Record<string, unknown>;
    components[name] = named;
  }
  return rest;
};

const header = (name: string, description: string, pattern: string): Json => ({
  name,
  in: 'header',
  required: false,
  description,
  schema: { type: 'string', pattern },
});

const IDEMPOTENCY_KEY = header(
  'Idempotency-Key',
  'The same request under the same key gives the first answer again; another request under it is refused with 409.',
  '^[\\x21-\\x7e]{1,255}$',
);
const REQUEST_ID = header(
  'X-Request-Id',
  'Stands in the answer, in problems and in the log of the gateway; one is made when none is given.',
  '^[A-Za-z0-9._-]{1,128}$',
);
const LAST_EVENT_ID = header(
  'Last-Event-ID',
  'The id of the last event seen: the stream goes on after it.',
  '^t\\d+\\.e\\d+$',
);

const parametersOf = (route: ApiRoute, components: Components): Json[] => [
  ...[...route.path.matchAll(/:([a-zA-Z]+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  })),
  ...Object.entries(route.query?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: 'query',
    required: !(schema as z.ZodType).safeParse(undefined).success,
    schema: schemaOf(schema as z.ZodType, 'input', components),
  })),
  REQUEST_ID,
  ...(route.method === 'POST' ? [IDEMPOTENCY_KEY] : []),
  ...(route.media === undefined ? [] : [LAST_EVENT_ID]),
];

const problemSchema = z.object({
  type: z.string().describe('A URN that names the code.'),
  title: z.string().describe('What the code means.'),
  status: z.int(),
  code: z.string().describe('What programs tell refusals apart by.'),
  kind: z.string(),
  detail: z.string().describe('What happened here, for a person.'),
  requestId: z.string(),
  errors: z
    .array(z.object({ path: z.string(), message: z.string() }))
    .optional()
    .describe('Every mistake of the request, each with its place.'),
});

const problem = (description: string, headers?: Json): Json => ({
  description,
  ...(headers !== undefined && { headers }),
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
});

const RETRY_AFTER = {
  'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer', minimum: 1 } },
};

const RESPONSES: Readonly<Record<string, Json>> = {
  Problem: problem('A refusal or a fault; `code` says which.'),
  TooMany: problem('This identity asks more often than it may; nothing was done.', RETRY_AFTER),
  Away: problem('Something this needs is away; the same request may be sent again.', RETRY_AFTER),
};

const response = (name: keyof typeof RESPONSES): Json => ({ $ref: `#/components/responses/${name}` });

const operationOf = (operationId: string, route: ApiRoute, components: Components): Json => ({
  operationId,
  tags: [/^\/api\/v1\/([a-z]+)/.exec(route.path)?.[1] ?? 'health'],
  summary: route.means,
  ...(route.details !== undefined && { description: route.details }),
  parameters: parametersOf(route, components),
  ...(route.body !== undefined && {
    requestBody: {
      required: true,
      content: { 'application/json': { schema: schemaOf(route.body, 'input', components) } },
    },
  }),
  responses: {
    [String(route.status)]: {
      description:
        route.media === undefined ? 'The answer.' : 'Events; the schema is that of the data of one.',
      content: {
        [route.media ?? 'application/json']: { schema: schemaOf(route.answer, 'output', components) },
      },
    },
    '429': response('TooMany'),
    '503': response('Away'),
    default: response('Problem'),
  },
  // Without a token when the deployment asks for none.
  security: route.isOpen === true ? [] : [{ token: [] }, {}],
});

/** The whole document. */
export const openApiDocument = (version: string): Json => {
  const components: Components = {};
  const paths: Record<string, Record<string, Json>> = {};
  for (const [name, route] of Object.entries<ApiRoute>(API)) {
    const path = route.path.replaceAll(/:([a-zA-Z]+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(name, route, components) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Fleetlog',
      version,
      description:
        'Ask for work, read it, and follow it live. Refusals and faults are problem documents (RFC 9457).',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://127.0.0.1:7710', description: 'A stack on this machine.' }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      responses: RESPONSES,
      schemas: { ...components, Problem: schemaOf(problemSchema, 'output', {}) },
    },
  };
};
