// Keeps what the engine makes of our sources (types stripped, code compiled) in the checkout, so that the next start is faster.
// Serves modules that are loaded after the call only: an entry file calls it and then imports the rest. Never fails.
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

/** Turns the cache on. Where it cannot be written (a read-only image) everything works without it. */
export const useCompileCache = (): void => {
  enableCompileCache(join(import.meta.dirname, '../../.cache/compile'));
};
