// Refusals and faults as HTTP problem documents (RFC 9457): the only place of the system that knows HTTP statuses.
// What a caller of the replaced systems knows as a kind (behaviours.md §9) stands in `kind`. Never shows a stack or a secret.
import type { Fault } from '#libs/kernel/fault.ts';
import type { Rejection } from '#libs/kernel/rejection.ts';
import { REJECTIONS, type RejectionCode, type RejectionKind } from '#streams/rejections.ts';

/** One mistake of a request: where and what. */
export interface InputError {
  /** Place in the body (`request.prompt`), or `query.limit`, `header.idempotency-key`. */
  readonly path: string;
  readonly message: string;
}

/** A problem document and the response around it. */
export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: {
    readonly type: string;
    readonly title: string;
    readonly status: number;
    readonly code: string;
    readonly kind: string;
    readonly detail: string;
    readonly requestId: string;
    readonly errors?: readonly InputError[];
  };
}

interface Row {
  readonly status: number;
  /** As callers know it; of a failed run, what it failed with. */
  readonly kind: string;
  readonly title: string;
}

const NOT_PROVISIONED = 'What keeps this is not there: fleetlog provision.';

/** Faults that the gateway itself raises about a request, or passes on with more than the general rule. */
const FAULTS: Readonly<Record<string, Row>> = {
  INPUT_MALFORMED: { status: 400, kind: 'schema-invalid', title: 'The request body is not JSON.' },
  INPUT_INVALID: { status: 400, kind: 'schema-invalid', title: 'The request breaks its schema.' },
  CURSOR_INVALID: { status: 400, kind: 'schema-invalid', title: 'The cursor is not one of ours.' },
  TOKEN_REQUIRED: { status: 401, kind: 'unauthorized', title: 'A bearer token is required.' },
  TOKEN_READS_ONLY: {
    status: 403,
    kind: 'tenant-policy-denied',
    title: 'The bearer token may read and change nothing.',
  },
  SPEAKER_FOREIGN: {
    status: 403,
    kind: 'tenant-policy-denied',
    title: 'The bearer token cannot speak for somebody else.',
  },
  TOKEN_FOREIGN: {
    status: 403,
    kind: 'tenant-policy-denied',
    title: 'The bearer token is of another tenant or project.',
  },
  HOST_DENIED: {
    status: 403,
    kind: 'tenant-policy-denied',
    title: 'The request is addressed to, or comes from, a host that is not this one.',
  },
  ROUTE_UNKNOWN: { status: 404, kind: 'schema-invalid', title: 'There is nothing at this path.' },
  METHOD_UNSUPPORTED: { status: 405, kind: 'schema-invalid', title: 'The path does not take this method.' },
  REQUEST_SLOW: { status: 408, kind: 'schema-invalid', title: 'The request did not come whole in time.' },
  HTTP_MALFORMED: { status: 400, kind: 'schema-invalid', title: 'The request is not HTTP.' },
  HEADERS_TOO_LARGE: { status: 431, kind: 'schema-invalid', title: 'The header lines are too large.' },
  REQUESTS_TOO_MANY: {
    status: 429,
    kind: 'rate-limited',
    title: 'This identity asks more often than it may.',
  },
  INPUT_TOO_LARGE: { status: 413, kind: 'schema-invalid', title: 'The request body is too large.' },
  REQUEST_TOO_LARGE: {
    status: 413,
    kind: 'schema-invalid',
    title: 'The request is larger than can be put on record.',
  },
  CONTENT_TYPE_UNSUPPORTED: {
    status: 415,
    kind: 'schema-invalid',
    title: 'The request body must be application/json.',
  },
  CONTENT_ENCODING_UNSUPPORTED: {
    status: 415,
    kind: 'schema-invalid',
    title: 'The request body must not be compressed.',
  },
  REQUEST_INVALID: { status: 400, kind: 'schema-invalid', title: 'The owner could not read the request.' },
  ENTRY_INVALID: { status: 400, kind: 'schema-invalid', title: 'The request cannot be put on record.' },
  LOG_MISSING: { status: 503, kind: 'infra-failed', title: NOT_PROVISIONED },
  KV_MISSING: { status: 503, kind: 'infra-failed', title: NOT_PROVISIONED },
  STREAMS_EXHAUSTED: { status: 503, kind: 'infra-failed', title: 'Too many live streams are open.' },
};

/** HTTP status of each kind of refusal; the kind as callers of the replaced systems know it. */
const KINDS: Readonly<Record<RejectionKind, { readonly status: number; readonly kind: RejectionKind }>> = {
  'schema-invalid': { status: 400, kind: 'schema-invalid' },
  'not-found': { status: 404, kind: 'schema-invalid' },
  conflict: { status: 409, kind: 'schema-invalid' },
  'tenant-policy-denied': { status: 403, kind: 'tenant-policy-denied' },
  'runner-lease-conflict': { status: 409, kind: 'runner-lease-conflict' },
  cancelled: { status: 409, kind: 'cancelled' },
  'infra-failed': { status: 503, kind: 'infra-failed' },
};

/** Seconds after which a caller may try again when something is away. */
const RETRY_AFTER_SECONDS = '1';

const isInputErrors = (value: unknown): value is readonly InputError[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'object' && one !== null && 'path' in one);

const problem = (
  row: Row,
  facts: { readonly code: string; readonly detail: string; readonly requestId: string },
  more: { readonly errors?: readonly InputError[]; readonly headers?: Readonly<Record<string, string>> } = {},
): Problem => ({
  status: row.status,
  headers: {
    'content-type': 'application/problem+json',
    ...(row.status === 503 && { 'retry-after': RETRY_AFTER_SECONDS }),
    ...(row.status === 401 && { 'www-authenticate': 'Bearer' }),
    ...more.headers,
  },
  body: {
    type: `urn:fleetlog:problem:${facts.code.toLowerCase().replaceAll('_', '-')}`,
    title: row.title,
    status: row.status,
    code: facts.code,
    kind: row.kind,
    detail: facts.detail,
    requestId: facts.requestId,
    ...(more.errors !== undefined && { errors: more.errors }),
  },
});

/** The problem of a refusal by a rule. */
export const problemOfRejection = (rejection: Rejection<RejectionCode>, requestId: string): Problem => {
  const { kind, meaning } = REJECTIONS[rejection.code];
  // ER-03: what a failed run refuses is of the kind that it failed with.
  const { failureKind } = rejection.detail ?? {};
  return problem(
    { ...KINDS[kind], title: meaning, ...(typeof failureKind === 'string' && { kind: failureKind }) },
    { code: rejection.code, detail: rejection.message, requestId },
  );
};

/**
 * The problem of a fault: `later` and `now` are 503 with `Retry-After`; what is not known to be the caller's mistake and is not
 * worth repeating is 500, whose detail says no more than its code.
 */
export const problemOfFault = (fault: Fault, requestId: string): Problem => {
  const known = FAULTS[fault.code];
  const facts = { code: fault.code, detail: fault.message, requestId };
  const { errors, allow, acceptEncoding, retryAfterSeconds } = fault.detail;
  if (known !== undefined)
    return problem(known, facts, {
      ...(isInputErrors(errors) && { errors }),
      headers: {
        ...(typeof allow === 'string' && { allow }),
        ...(typeof acceptEncoding === 'string' && { 'accept-encoding': acceptEncoding }),
        ...(typeof retryAfterSeconds === 'number' && { 'retry-after': String(retryAfterSeconds) }),
      },
    });
  if (fault.code !== 'UNEXPECTED_ERROR' && fault.retry !== 'never') {
    const title = 'Something this needs is away; try again.';
    return problem({ status: 503, kind: 'infra-failed', title }, facts);
  }
  const title = 'Something is broken here.';
  return problem(
    { status: 500, kind: 'infra-failed', title },
    { ...facts, detail: `${fault.code}; the log of the gateway says more under this request id` },
  );
};
