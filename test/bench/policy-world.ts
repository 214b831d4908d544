// What the benchmarks of policies have in common: the lifecycle service as a process of its own, hosts that are registered, transitions as
// they are stored, and how figures are said.
import { readFileSync } from 'node:fs';
import type { SyncProfile } from '#libs/broker/broker-config.ts';
import type { Ports } from '#libs/service/context.ts';
import { createHostsService } from '#services/hosts/service.ts';
import { aggregateFilter } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { startControlPlane } from '#test/support/control-plane.ts';
import { provisionHosts } from '#test/support/host-rig.ts';
import { registerHosts } from '#test/support/register-hosts.ts';
import { startFile, type StartedFile } from '#test/support/spawned-process.ts';
import type { Bench } from './bench-world.ts';
import type { Figure } from './figure.ts';

type Said = Pick<Figure, 'figure' | 'value' | 'unit'> & Partial<Pick<Figure, 'floor' | 'target' | 'rounds'>>;

export const emitter =
  ({ profile, emit }: Parameters<Bench['run']>[0]) =>
  ({ figure, value, unit, floor = null, target = null, rounds = 1 }: Said): void =>
    emit({
      bench: 'policies',
      figure,
      value,
      unit,
      floor,
      target,
      rounds,
      profile,
      ratio: floor === null ? null : value / floor,
      spread: null,
    });

/** A broker with hosts that have said their first word, and the services that hosts ask. Dispose of it last. */
export const openPolicyWorld = async (
  profile: SyncProfile,
  hosts: readonly string[],
  {
    services = [],
    config = {},
  }: Partial<Pick<Parameters<typeof startControlPlane>[0], 'services' | 'config'>> = {},
) => {
  const broker = await freshBroker({ sync: profile });
  await provisionHosts(broker, hosts);
  const control = await startControlPlane({
    broker,
    services: [...services, createHostsService({ version: 'b' })],
    config,
  });
  await registerHosts(control.ports, hosts);
  return {
    broker,
    control,
    ports: control.ports,
    [Symbol.asyncDispose]: async (): Promise<void> => {
      await control[Symbol.asyncDispose]();
      await broker[Symbol.asyncDispose]();
    },
  };
};

export const startLifecycle = async (
  broker: FreshBroker,
  more: Readonly<Record<string, string>> = {},
): Promise<StartedFile> => {
  const process = startFile(
    'services/main.mjs',
    {
      FLEETLOG_NATS_URL: broker.url,
      FLEETLOG_NATS_USER: broker.user,
      FLEETLOG_NATS_PASSWORD: broker.password,
      FLEETLOG_HEALTH_PORT: '0',
      ...more,
    },
    ['lifecycle'],
  );
  await process.stderr.until(/"all services have started"/);
  return process;
};

export const idle = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Processor time of a process so far, ms. Linux: in hundredths of a second. */
export const cpuMs = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
};

/** Counts transitions of a kind as they are stored. */
export const watchTransitions = (ports: Ports, type: string) => {
  const ending = new AbortController();
  let count = 0;
  let goal: { readonly count: number; readonly reached: () => void } | undefined;
  const loop = (async () => {
    const subjects = [aggregateFilter('policy')];
    const { signal } = ending;
    for await (const { headers: told } of ports
      .log('TRANSITIONS')
      .replay({ subjects, follow: true, signal })) {
      if (told['ce-type'] !== type) continue;
      count += 1;
      if (goal !== undefined && count >= goal.count) goal.reached();
    }
  })();
  // Where something else breaks, the connection ends first.
  loop.catch(() => undefined);
  return {
    reaches: (wanted: number): Promise<void> =>
      count >= wanted
        ? Promise.resolve()
        : new Promise((resolve) => {
            goal = { count: wanted, reached: resolve };
          }),
    stop: async () => {
      ending.abort();
      await loop;
    },
  };
};
