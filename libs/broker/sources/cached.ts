// A server that an earlier run fetched.
import { isIntact, listCached } from '#libs/broker/server-cache.ts';
import type { Source } from './source.ts';

export const cached: Source = {
  name: 'cache',
  find: async ({ cacheDir }) => {
    const servers = await listCached(cacheDir);
    for (const server of servers) {
      if (!(await isIntact(server, false))) continue;
      return { outcome: 'found', path: server.path, version: server.version, sha256: server.sha256 };
    }
    return servers.length === 0
      ? { outcome: 'absent', reason: `nothing in ${cacheDir}` }
      : { outcome: 'refused', reason: `the server in ${cacheDir} was changed after it was installed` };
  },
};
