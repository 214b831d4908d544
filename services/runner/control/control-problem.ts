// Faults of the control endpoint as problem documents (RFC 9457): the only file of the runner that knows HTTP statuses.
import { Fault, toFault } from '#libs/kernel/fault.ts';

const STATUS: Readonly<Record<string, number>> = {
  CALLER_GONE: 400,
  INPUT_MALFORMED: 400,
  INPUT_INVALID: 400,
  TOKEN_REQUIRED: 401,
  TOKEN_UNKNOWN: 401,
  TURN_REQUIRED: 403,
  ROUTE_UNKNOWN: 404,
  METHOD_UNSUPPORTED: 405,
  TURN_OVER: 410,
  INPUT_TOO_LARGE: 413,
  OBLIGATIONS_UNAVAILABLE: 501,
  MAIL_UNAVAILABLE: 501,
  TURNS_UNAVAILABLE: 501,
  APPROVALS_UNAVAILABLE: 501,
};

/** What is answered instead of a result. */
export interface ControlProblem {
  readonly status: number;
  readonly body: {
    readonly type: string;
    readonly status: number;
    readonly code: string;
    readonly detail: string;
    readonly retry: Fault['retry'];
    readonly errors?: unknown;
  };
}

const problem = (status: number, fault: Fault, detail = fault.message): ControlProblem => {
  const { code, retry } = fault;
  const { errors } = fault.detail;
  const type = `urn:fleetlog:problem:${code.toLowerCase().replaceAll('_', '-')}`;
  return { status, body: { type, status, code, detail, retry, ...(errors !== undefined && { errors }) } };
};

/** The problem of a fault. What is not known to be the caller's mistake says no more than its code. */
export const problemOf = (error: unknown): ControlProblem => {
  const fault = toFault(error);
  const status = STATUS[fault.code];
  if (status !== undefined) return problem(status, fault);
  if (fault.detail['isRefusal'] === true) return problem(409, fault);
  if (fault.code !== 'UNEXPECTED_ERROR' && fault.retry !== 'never') return problem(503, fault);
  return problem(500, fault, `${fault.code}; the log of the runner says more`);
};

/** A "no" of a part, on its way to being a problem document. */
export const refusal = (code: string, message: string): Fault =>
  new Fault({ code, retry: 'never', message, detail: { isRefusal: true } });
