// The description of the HTTP API, exactly as it is committed: written by `npm run docs` from the declarations that the routes are served
// by, and checked to be current by `npm run docs:check`.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

let text: Promise<string> | undefined;

/** OpenAPI 3.1, as JSON. */
export const apiDescription = (): Promise<string> =>
  (text ??= readFile(join(import.meta.dirname, '../../streams/openapi.json'), 'utf8'));
