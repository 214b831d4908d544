// Starts run.ts as the product is started (services/main.mjs).
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

enableCompileCache(join(import.meta.dirname, '../../../.cache/compile'));
await import('./run.ts');
