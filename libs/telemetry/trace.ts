// W3C trace context: makes, reads and continues the value of a `traceparent` header. Pure; sends nothing anywhere.
import type { Ids } from '#libs/ports/ids.ts';

/** Where a piece of work stands in a trace. */
export interface TraceContext {
  /** 32 hex digits, not all zero: the whole trace. */
  readonly traceId: string;
  /** 16 hex digits, not all zero: this step, the parent of what it causes. */
  readonly spanId: string;
  /** Whether whoever collects traces should keep this one. */
  readonly isSampled: boolean;
}

const hex = (ids: Pick<Ids, 'random'>, digits: number): string => {
  let text = '';
  for (let index = 0; index < digits; index += 1) text += Math.floor(ids.random() * 16).toString(16);
  // All zero is "none" in the format.
  return /[^0]/.test(text) ? text : `${text.slice(1)}1`;
};

/** A new trace, sampled unless told otherwise. */
export const startTrace = (ids: Pick<Ids, 'random'>, isSampled = true): TraceContext => ({
  traceId: hex(ids, 32),
  spanId: hex(ids, 16),
  isSampled,
});

/** The next step of a trace: same trace, new span. */
export const childOf = (parent: TraceContext, ids: Pick<Ids, 'random'>): TraceContext => ({
  ...parent,
  spanId: hex(ids, 16),
});

/** The header value, version 00. */
export const formatTraceparent = ({ traceId, spanId, isSampled }: TraceContext): string =>
  `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;

const shape = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:$|(-))/;

/** Reads a header value; undefined when it is none (a trace is then started, never refused). Later versions are read as far as they are known. */
export const parseTraceparent = (value: string | undefined): TraceContext | undefined => {
  const match = shape.exec(value?.trim() ?? '');
  if (match === null) return undefined;
  const [, version = '', traceId = '', spanId = '', flags = '', more] = match;
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
};

/** Continues the trace of a header, or starts one. */
export const continueTrace = (value: string | undefined, ids: Pick<Ids, 'random'>): TraceContext => {
  const parent = parseTraceparent(value);
  return parent === undefined ? startTrace(ids) : childOf(parent, ids);
};
