// Starts services: `node services/main.mjs <name…|all> [--flag value…]`. See service-process.ts.
import { useCompileCache } from '#libs/system/compile-cache.ts';
import { boundYoungGeneration, keepYoungGenerationSmall } from '#libs/system/young-generation.ts';

useCompileCache();
const [first = '', second = '-'] = process.argv.slice(2);
// A machine has a runner for each of its agents.
if (first === 'runner' && second.startsWith('-')) keepYoungGenerationSmall();
else boundYoungGeneration();
const { runServiceProcess } = await import('./service-process.ts');
await runServiceProcess();
