// Text as the bytes of its UTF-8. A `TextEncoder` makes a buffer of its own for each text, which costs four times what the bytes of a small entry
// do, and as much again when it is collected; here small ones share one.

/**
 * The bytes of a text, in UTF-8; none for what JSON does not write (undefined). A plain window, possibly on a buffer that others share: nothing
 * but the window is the caller's.
 */
export const textBytes = (text = ''): Uint8Array => {
  const { buffer, byteOffset, byteLength } = Buffer.from(text, 'utf8');
  return new Uint8Array(buffer, byteOffset, byteLength);
};
