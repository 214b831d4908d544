// What will start an agent that does not run, for whoever asks why it does not. Pure.
import { nextCronAt } from '#libs/cron/cron.ts';
import type { PolicyConfig } from '#streams/policy-config.ts';
import type { ManagedAgentView } from '#streams/policy-views.ts';

/** Undefined: it runs, or its reason says what comes next. `clockText` writes a time (epoch ms). */
export const nextStep = (
  { policy, state, desired }: Pick<ManagedAgentView, 'policy' | 'state' | 'desired'>,
  { mode, schedule }: Pick<PolicyConfig, 'mode' | 'schedule'>,
  { now, clockText }: { readonly now: number; readonly clockText: (atMs: number) => string },
): string | undefined => {
  if (state !== 'stopped') return undefined;
  if (desired === 'paused' || mode === 'paused')
    return mode === 'paused'
      ? 'its mode is paused: apply another one'
      : `it is paused until: fleetlog resume ${policy}`;
  if (desired === 'stopped') return `it stays stopped until: fleetlog start ${policy}`;
  if (mode === 'on-demand')
    return `it starts when there is mail for it (fleetlog send policy:${policy} "…"), or by: fleetlog start ${policy}`;
  const at = mode === 'scheduled' && schedule !== undefined ? nextCronAt(schedule, now) : null;
  return at === null
    ? undefined
    : `it starts by its calendar at ${clockText(at)}, or by: fleetlog start ${policy}`;
};
