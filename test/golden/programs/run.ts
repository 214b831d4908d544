// Records what the lines of the programs in this folder mean where that is not recorded yet: `node test/golden/programs/run.ts`.
// It never changes what is there: delete a file to have it made anew, and read the difference.
import { existsSync, writeFileSync } from 'node:fs';
import { CASES, meaningsOf, recordedPath } from '#test/support/program-lines.ts';

for (const name of CASES) {
  const path = recordedPath(name);
  if (existsSync(path)) continue;
  writeFileSync(path, `${JSON.stringify(meaningsOf(name), undefined, 2)}\n`);
  process.stdout.write(`recorded ${path}\n`);
}
