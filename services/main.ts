// Starts services: `node services/main.mjs <name…|all> [--flag value…]`. See service-process.ts.
import { useCompileCache } from '#libs/system/compile-cache.ts';
import { boundYoungGeneration } from '#libs/system/young-generation.ts';

useCompileCache();
boundYoungGeneration();
const { runServiceProcess } = await import('./service-process.ts');
await runServiceProcess();
