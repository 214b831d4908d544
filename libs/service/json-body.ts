// JSON as the body of a request or an answer.
import { textBytes } from '#libs/kernel/text-bytes.ts';

const decoder = new TextDecoder('utf-8', { fatal: true });

/** A value as the bytes of its JSON. */
export const jsonBody = (value: unknown): Uint8Array => textBytes(JSON.stringify(value));

/** The value of a body; undefined when it is not UTF-8 or not JSON. */
export const readJsonBody = (body: Uint8Array): unknown => {
  try {
    return JSON.parse(decoder.decode(body));
  } catch {
    return undefined;
  }
};
