// The description of the HTTP API (OpenAPI 3.1), made from the routes and the schemas that they read by: it cannot say
// anything else than what is served. Answers are described by media type only.
import { z } from 'zod';
import type { Route } from './http.ts';

type Json = Readonly<Record<string, unknown>>;

/** What goes in, before it is parsed: query values are texts. */
const inputSchema = (schema: z.ZodType): Json =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Json;

const parametersOf = (route: Route): Json[] => {
  const inPath = [...route.path.matchAll(/:([a-z]+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const inQuery = Object.entries(route.query?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: 'query',
    required: false,
    schema: inputSchema(schema as z.ZodType),
  }));
  return [...inPath, ...inQuery];
};

const problem = {
  description: 'A refusal or a fault; `code` says which.',
  content: {
    'application/problem+json': {
      schema: {
        type: 'object',
        required: ['type', 'title', 'status', 'code', 'kind', 'detail', 'requestId'],
        properties: {
          type: { type: 'string' },
          title: { type: 'string' },
          status: { type: 'integer' },
          code: { type: 'string' },
          kind: { type: 'string' },
          detail: { type: 'string' },
          requestId: { type: 'string' },
          errors: {
            type: 'array',
            items: {
              type: 'object',
              properties: { path: { type: 'string' }, message: { type: 'string' } },
            },
          },
        },
      },
    },
  },
};

const operationOf = (route: Route): Json => ({
  summary: route.means,
  parameters: parametersOf(route),
  ...(route.body !== undefined && {
    requestBody: { required: true, content: { 'application/json': { schema: inputSchema(route.body) } } },
  }),
  responses: {
    [route.method === 'POST' ? '202' : '200']: {
      description: 'The answer.',
      content: { [route.answers ?? 'application/json']: {} },
    },
    default: problem,
  },
});

/** Describes the routes. */
export const describeApi = (routes: readonly Route[]): Json => {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:([a-z]+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Fleetlog', version: 'v1', description: 'Ask for work, read it, and follow it live.' },
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    // With and without: a token is asked for when the deployment has set one.
    security: [{ token: [] }, {}],
    paths,
  };
};
