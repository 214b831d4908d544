// Single pages of the gateway over HTTP, each followed by the same bytes from a bare server: what a slow moment of the machine does to one it does
// to the other, and the end of their distributions can be compared.
import type { SyncProfile } from '#libs/broker/broker-config.ts';
import type { Figure, Target } from './figure.ts';
import { percentile } from './measure.ts';
import { COUNT, idOf } from './reads-world.ts';

const REQUESTS = 200;
/** Of each kind before any is measured: what is asked for first runs code that was never compiled. */
const WARM_UP = 60;
const PAGE: Target = { of: 'value', is: '<=', limit: 5 };

/** The path of a request by its number and the answer before it. */
type Next = (n: number, before: string) => string;

/** Follows a list from page to page, again from its beginning at its end. */
const follow =
  (path: string): Next =>
  (_n, before) => {
    const next = /"next":"([^"]+)"/.exec(before)?.[1];
    return next === undefined ? path : `${path}&cursor=${next}`;
  };

const PAGES: readonly (readonly [string, Next])[] = [
  ['sessions by attention', follow('/api/v1/sessions?limit=50')],
  ['sessions of a reader', follow('/api/v1/sessions?state=all&reader=anna&limit=50')],
  ['sessions of an agent', follow('/api/v1/sessions?agent=builder-7&limit=50')],
  ['changes of sessions', (n) => `/api/v1/sessions/changes?after=${(n * 997) % COUNT}&limit=50`],
  ['tasks as they go', follow('/api/v1/tasks?limit=50')],
  ['tasks of a queue and state', follow('/api/v1/tasks?queue=queue-1&state=failed,cancelled&limit=50')],
  ['one waiting task and its place', (n) => `/api/v1/tasks/${idOf('tsk', (n * 10) % COUNT)}`],
  ['counts of queues', () => '/api/v1/commander?reader=anna'],
];

interface Times {
  readonly ours: number[];
  readonly floor: number[];
}

const get = async (url: string): Promise<string> => {
  const response = await fetch(url);
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: ${text}`);
  return text;
};

const timed = async (times: number[], url: string): Promise<string> => {
  const startedAt = performance.now();
  const text = await get(url);
  times.push(performance.now() - startedAt);
  return text;
};

/** What pages take, over several starts of the gateway. */
export class PageTimes {
  readonly #pages = new Map<string, Times>(PAGES.map(([name]) => [name, { ours: [], floor: [] }]));
  /** The first page that needs the lists of a reader who was never here: ms in which another request was answered meanwhile, at most. */
  readonly #besides: number[] = [];

  /** `base` and `bare`: where the two servers are. */
  async measure(base: string, bare: string): Promise<void> {
    await this.#newReader(base);
    for (const [at, [name, next]] of PAGES.entries()) {
      const body = await get(base + next(0, ''));
      await fetch(`${bare}/${at}`, { method: 'PUT', body });
      const { ours, floor } = this.#pages.get(name) ?? { ours: [], floor: [] };
      let before = '';
      for (let n = 0; n < WARM_UP + REQUESTS; n += 1) {
        before = await timed(n < WARM_UP ? [] : ours, base + next(n, before));
        await timed(n < WARM_UP ? [] : floor, `${bare}/${at}`);
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

  async #newReader(base: string): Promise<void> {
    for (let n = 0; n < WARM_UP; n += 1) await get(`${base}/healthz`);
    const page = get(`${base}/api/v1/sessions?state=unread&reader=anna&limit=50`);
    const waits: number[] = [];
    const other = (): Promise<string> => timed(waits, `${base}/healthz`).then(() => '');
    while ((await Promise.race([page, other()])) === '');
    this.#besides.push(Math.max(...waits));
  }
}
