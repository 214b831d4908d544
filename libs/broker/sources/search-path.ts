// The machine's own nats-server, if it is new enough.
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { probeExecutable } from '#libs/broker/probe-executable.ts';
import type { Source } from './source.ts';

const canRun = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

export const searchPath: Source = {
  name: 'PATH',
  find: async (context) => {
    const reasons: string[] = [];
    for (const folder of context.searchPath.split(delimiter)) {
      const path = join(folder, 'nats-server');
      if (folder === '' || !(await canRun(path))) continue;
      const probe = await probeExecutable(path);
      if (probe.usable) return { outcome: 'found', path, version: probe.version };
      reasons.push(probe.reason);
    }
    return reasons.length === 0
      ? { outcome: 'absent', reason: 'no nats-server there' }
      : { outcome: 'refused', reason: reasons.join('; ') };
  },
};
