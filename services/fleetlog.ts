// The program `fleetlog`: `./fleetlog`, `npm start` and the containers all come through here. See command-line.ts.
import { useCompileCache } from '#libs/system/compile-cache.ts';

useCompileCache();
const [command, first] = process.argv.slice(2);
// A program waits for its tools, so nothing else is loaded for them.
if (command === 'mcp' && first === undefined) await (await import('./mcp-command.ts')).runMcp();
else await (await import('./command-line.ts')).runCommandLine();
