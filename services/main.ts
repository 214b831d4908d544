// Starts services: `node services/main.mjs <name…|all> [--flag value…]`. See service-process.ts.
import { useCompileCache } from '#libs/system/compile-cache.ts';

useCompileCache();
const { runServiceProcess } = await import('./service-process.ts');
await runServiceProcess();
