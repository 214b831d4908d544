// Makes secrets. Like ids and randomness, nothing else of the product makes them.
import { randomBytes } from 'node:crypto';

/** A new secret: 32 random bytes, base64url (43 characters, safe in files, headers and URLs). */
export const newSecret = (): string => randomBytes(32).toString('base64url');
