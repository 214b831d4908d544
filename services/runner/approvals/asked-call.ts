// A call that a person is asked about, as it is reported: under a digest of exactly this call, and cut to what can be shown.
// Two calls have one digest exactly when they are of one tool with the same input, in whatever order its keys stand. Redacts nothing: the writer of reports does.
import { createHash } from 'node:crypto';
import { SHOWN_INPUT_BYTES, type AskedCall } from '#streams/approvals.ts';

/** What the agent wants to do. */
export interface ApprovalCall {
  /** The program's own name for the call. */
  readonly callId: string;
  readonly tool: string;
  /** JSON. */
  readonly input: unknown;
  /** What to decide, in words; default: `Allow <tool>?`. */
  readonly question?: string | undefined;
}

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
};

/** SHA-256 (hex) of the tool's name and the whole input. */
export const callDigest = (tool: string, input: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify([tool, sorted(input) ?? null]))
    .digest('hex');

const shown = (input: unknown): Pick<AskedCall, 'input' | 'inputCutBytes'> => {
  const json = Buffer.from(JSON.stringify(input) ?? 'null');
  if (json.byteLength <= SHOWN_INPUT_BYTES) return { input: input ?? null, inputCutBytes: 0 };
  const inputCutBytes = json.byteLength - SHOWN_INPUT_BYTES;
  return { input: json.subarray(0, SHOWN_INPUT_BYTES).toString(), inputCutBytes };
};

/** The fields of a report that come from the call alone. */
export const askedCall = (
  call: ApprovalCall,
): Pick<AskedCall, 'callId' | 'tool' | 'input' | 'inputCutBytes' | 'digest' | 'question'> => ({
  callId: call.callId.slice(0, 200),
  tool: call.tool.slice(0, 200),
  ...shown(call.input),
  digest: callDigest(call.tool, call.input),
  question: (call.question ?? `Allow ${call.tool}?`).slice(0, 2000),
});
