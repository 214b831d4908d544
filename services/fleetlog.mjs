// How `fleetlog.ts` is started. The cache of compiled code is turned on before the first TypeScript file: once that is in the cache, the
// engine does not load what strips types (18 MB, and a tenth of a second). A hook needs neither: a program waits for it.
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

const [command, first = ''] = process.argv.slice(2);
if (command === 'hook' && !first.startsWith('-')) await import('./runner/hook/hook.mjs');
else {
  enableCompileCache(join(import.meta.dirname, '../.cache/compile'));
  await import('./fleetlog.ts');
}
