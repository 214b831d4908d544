// The program `fleetlog`: `./fleetlog`, `npm start` and the containers all come through here. See command-line.ts.
import { useCompileCache } from '#libs/system/compile-cache.ts';

useCompileCache();
const { runCommandLine } = await import('./command-line.ts');
await runCommandLine();
