// Single pages of the gateway over HTTP beside the same bytes from a bare server, as page-asker/run.ts has them, over several starts of the gateway.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { SyncProfile } from '#libs/broker/broker-config.ts';
import type { Figure, Target } from './figure.ts';
import { percentile } from './measure.ts';

const PAGE: Target = { of: 'value', is: '<=', limit: 5 };
/** Of what the asker says. */
const MOST_BYTES = 16 * 1024 * 1024;

const lineSchema = z.union([
  z.object({ besides: z.number() }),
  z.object({ name: z.string(), ours: z.array(z.number()), floor: z.array(z.number()) }),
]);

interface Times {
  readonly ours: number[];
  readonly floor: number[];
}

/** What pages take, over several starts of the gateway. */
export class PageTimes {
  readonly #pages = new Map<string, Times>();
  readonly #besides: number[] = [];

  /** `base` and `bare`: where the two servers are. */
  async measure(base: string, bare: string): Promise<void> {
    const args = ['test/bench/page-asker/run.ts', base, bare];
    const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: MOST_BYTES });
    for (const line of stdout.trim().split('\n')) {
      const said = lineSchema.parse(JSON.parse(line));
      if ('besides' in said) this.#besides.push(said.besides);
      else {
        const times = this.#pages.get(said.name) ?? { ours: [], floor: [] };
        this.#pages.set(said.name, times);
        times.ours.push(...said.ours);
        times.floor.push(...said.floor);
      }
    }
  }

  figures(profile: SyncProfile): readonly Figure[] {
    const named = { bench: 'reads', profile, unit: 'ms', spread: null } as const;
    const pages = [...this.#pages].flatMap(([name, times]) =>
      ([0.5, 0.99] as const).map((share): Figure => {
        const value = percentile(times.ours, share);
        const floor = percentile(times.floor, share);
        return {
          ...named,
          figure: `${name}, p${share * 100}`,
          value,
          floor,
          ratio: value / floor,
          target: share === 0.99 ? PAGE : null,
          rounds: times.ours.length,
        };
      }),
    );
    const value = percentile(this.#besides, 0.5);
    const figure = 'longest wait of others while lists of a reader are made';
    return [
      ...pages,
      { ...named, figure, value, floor: null, ratio: null, target: null, rounds: this.#besides.length },
    ];
  }
}
