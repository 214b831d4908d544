// The server that the environment names. It is the answer or an error: a choice that was made is never passed over in silence.
import { probeExecutable } from '#libs/broker/probe-executable.ts';
import type { Source } from './source.ts';

export const explicitPath: Source = {
  name: 'FLEETLOG_NATS_SERVER',
  find: async ({ explicitPath: path }) => {
    if (path === undefined || path === '') return { outcome: 'absent', reason: 'not set' };
    const probe = await probeExecutable(path);
    return probe.usable
      ? { outcome: 'found', path, version: probe.version }
      : {
          outcome: 'refused',
          reason: probe.reason,
          fix: 'correct FLEETLOG_NATS_SERVER, or unset it to have a server found or fetched',
        };
  },
};
