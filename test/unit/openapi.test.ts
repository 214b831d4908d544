// The committed description of the HTTP API, as tools that know nothing of us read it.
import { readFileSync } from 'node:fs';
import { Validator } from '@seriousme/openapi-schema-validator';
import { expect, test } from 'vitest';
import { API } from '#streams/http/api.ts';
import type { ApiRoute } from '#streams/http/route.ts';

type Json = Readonly<Record<string, unknown>>;
const document = JSON.parse(readFileSync('streams/openapi.json', 'utf8')) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Json>>>>;
};
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));

test('is valid OpenAPI 3.1, by a validator of others, and so are its references', async () => {
  const validator = new Validator({ strict: false });
  const { valid, errors } = await validator.validate(structuredClone(document) as Record<string, unknown>);
  expect({ valid, errors }).toEqual({ valid: true, errors: undefined });
  expect(validator.version).toBe('3.1');
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path);
  expect(references.length).toBeGreaterThan(20);
  for (const path of references) {
    let at: unknown = document;
    for (const step of path?.split('/') ?? []) at = (at as Json | undefined)?.[step];
    expect([path, typeof at]).toEqual([path, 'object']);
  }
});

test('says of every operation what goes in and comes out, that every POST takes a key, and what its errors are', () => {
  expect(operations.map((one) => String(one['operationId'])).sort()).toEqual(Object.keys(API).sort());
  for (const [name, route] of Object.entries<ApiRoute>(API)) {
    const operation = operations.find((one) => one['operationId'] === name) as Json;
    const parameters = (operation['parameters'] as { name: string; in: string }[]).map(
      (one) => `${one.in}.${one.name}`,
    );
    expect([name, new Set(parameters).size]).toEqual([name, parameters.length]);
    const isPost = route.method === 'POST';
    expect([name, parameters.includes('header.Idempotency-Key')]).toEqual([name, isPost]);
    expect([name, 'requestBody' in operation]).toEqual([name, isPost]);
    for (const [, parameter] of route.path.matchAll(/:(\w+)/g))
      expect(parameters).toContain(`path.${String(parameter)}`);
    const responses = operation['responses'] as Json;
    expect([name, Object.keys(responses).sort()]).toEqual([
      name,
      [String(route.status), '429', '503', 'default'].sort(),
    ]);
    expect(JSON.stringify(responses[String(route.status)])).toMatch(/"schema":\{"/);
  }
});
