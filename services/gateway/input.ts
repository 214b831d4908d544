// The reading of what the HTTP API takes: a value by its schema (streams/http), a body within its limit. Every mistake is named, an unknown
// field where it stands. Nothing is looked up here, so nothing is read or written for bad input.
import { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import { runIdSchema, sessionIdSchema } from '#streams/ids.ts';
import type { InputError } from './problem.ts';

/** `Idempotency-Key`: one line of visible characters. */
const idempotencyKeySchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, 'expected 1 to 255 visible ASCII characters without blanks');

/** The `Idempotency-Key` of a request, or undefined. Throws `INPUT_INVALID`. */
export const idempotencyKeyOf = ({ headers }: Request): string | undefined => {
  const given = headers.get('idempotency-key');
  return given === null ? undefined : parseInput(idempotencyKeySchema, given, 'header.idempotency-key');
};

/** True for an id that a run can have; anything else is an unknown id. */
export const isRunId = (text: string): boolean => runIdSchema.safeParse(text).success;
export const isSessionId = (text: string): boolean => sessionIdSchema.safeParse(text).success;

/** `INPUT_INVALID` (never), with every mistake. */
export const inputInvalid = (errors: readonly InputError[]): Fault =>
  new Fault({
    code: 'INPUT_INVALID',
    retry: 'never',
    message: errors.map(({ path, message }) => `${path}: ${message}`).join('; '),
    detail: { errors },
  });

/** What is wrong as a person would say it: a field that is not there is missing, not of a wrong type. */
const inWords = (message: string): string =>
  message
    .replace(/^Invalid input: (expected .+), received undefined$/, 'missing; $1')
    .replace(/^Invalid input: /, '');

const errorsOf = (error: z.ZodError, prefix: string): InputError[] =>
  error.issues.flatMap((issue) => {
    const at = [...(prefix === '' ? [] : [prefix]), ...issue.path].join('.');
    // Each unknown field is named where it stands.
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({
        path: at === '' ? key : `${at}.${key}`,
        message: 'unknown field',
      }));
    return [{ path: at === '' ? 'body' : at, message: inWords(issue.message) }];
  });

/** Parses a value. Throws `INPUT_INVALID` with all mistakes, each placed under `prefix` (`query`, `header.…`; '' for the body). */
export const parseInput = <Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  prefix: '' | 'query' | `header.${string}`,
): z.infer<Schema> => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw inputInvalid(errorsOf(parsed.error, prefix));
};

const tooLarge = (limitBytes: number): Fault =>
  new Fault({
    code: 'INPUT_TOO_LARGE',
    retry: 'never',
    message: `a request body has ${limitBytes} bytes at most; put larger things into files of the workspace`,
    detail: { limitBytes },
  });

/** What `Content-Encoding` and `Accept-Encoding` call a body as it is. */
const NOT_ENCODED = 'identity';

/** What was read of a request: its body comes once, and several look at it. */
const bodies = new WeakMap<Request, Promise<Uint8Array>>();

const bytesOf = (request: Request, limitBytes: number): Promise<Uint8Array> => {
  const known = bodies.get(request);
  if (known !== undefined) return known;
  const reading = readBytes(request, limitBytes);
  bodies.set(request, reading);
  return reading;
};

const readBytes = async (request: Request, limitBytes: number): Promise<Uint8Array> => {
  // A declared length is believed when it says too much; what comes is counted in any case.
  if (Number(request.headers.get('content-length') ?? 0) > limitBytes) throw tooLarge(limitBytes);
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (request.body !== null)
    for await (const chunk of request.body) {
      length += chunk.byteLength;
      if (length > limitBytes) throw tooLarge(limitBytes);
      chunks.push(chunk);
    }
  return Buffer.concat(chunks);
};

/** What is packed is not unpacked here: a few bytes of it could be any number. Throws `CONTENT_ENCODING_UNSUPPORTED`. */
const checkEncoding = ({ headers }: Request): void => {
  const encoding = (headers.get('content-encoding') ?? NOT_ENCODED).trim().toLowerCase();
  if (encoding === NOT_ENCODED || encoding === '') return;
  throw new Fault({
    code: 'CONTENT_ENCODING_UNSUPPORTED',
    retry: 'never',
    message: `the content encoding is ${JSON.stringify(encoding.slice(0, 80))}; send the body as it is`,
    detail: { acceptEncoding: NOT_ENCODED },
  });
};

/**
 * The JSON body of a request. Throws `CONTENT_TYPE_UNSUPPORTED`, `CONTENT_ENCODING_UNSUPPORTED`, `INPUT_TOO_LARGE`, `INPUT_MALFORMED`,
 * `INPUT_INVALID`.
 */
export const readJson = async (request: Request, limitBytes: number): Promise<unknown> => {
  // Also what keeps a foreign web page out: a form cannot send this type without asking first.
  const type = (request.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json')
    throw new Fault({
      code: 'CONTENT_TYPE_UNSUPPORTED',
      retry: 'never',
      message: `the content type is ${type === '' || type === undefined ? 'missing' : JSON.stringify(type.slice(0, 80))}; send application/json`,
    });
  checkEncoding(request);
  const bytes = await bytesOf(request, limitBytes);
  checkDepth(bytes);
  return parseJson(bytes);
};

/** The JSON body of a request, parsed by a schema. Throws as {@link readJson}. */
export const readBody = async <Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
  limitBytes: number,
): Promise<z.infer<Schema>> => parseInput(schema, await readJson(request, limitBytes), '');

/** Levels of objects and arrays in a body: what is deeper could not be written again. */
const MAX_DEPTH = 100;

const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/** Throws `INPUT_INVALID`. */
const checkDepth = (bytes: Uint8Array): void => {
  let depth = 0;
  let isText = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    if (isText && byte === 0x5c) at += 1;
    else if (byte === 0x22) isText = !isText;
    else if (isText) continue;
    else if (CLOSING.has(byte)) depth -= 1;
    else if (OPENING.has(byte) && (depth += 1) > MAX_DEPTH)
      throw inputInvalid([{ path: 'body', message: `nested more than ${MAX_DEPTH} levels deep` }]);
  }
};

const parseJson = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const why = error instanceof Error ? error.message.slice(0, 200) : 'unreadable';
    throw new Fault({ code: 'INPUT_MALFORMED', retry: 'never', message: `not JSON: ${why}` });
  }
};
