// Asks for single pages over HTTP, each followed by the same bytes from a bare server: what a slow moment of the machine does to one it does to the
// other, and the end of their distributions can be compared. A process of its own that does nothing else: in the bench's, which has filled the
// buckets, a page would wait for the collection of that garbage. Writes one line of JSON a kind of page.
import { Agent, get, request } from 'node:http';
import { COUNT, idOf } from '#test/bench/reads-size.ts';

/** With three starts of the gateway the hundredth part of all is a dozen, not the two worst. */
const REQUESTS = 400;
/** Of each kind before any is measured: what is asked for first runs code that was never compiled, here and there. */
const WARM_UP = 200;

/** Asked for before anything else. */
const HEALTH_CHECKS = 60;

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

const agent = new Agent({ keepAlive: true });

const ask = (url: string): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const body = Buffer.concat(chunks);
        if (response.statusCode === 200) resolve(body);
        else reject(new Error(`${url}: ${body.toString()}`));
      });
    }).on('error', reject);
  });

const put = (url: string, body: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { method: 'PUT', agent }, (response) => response.resume().on('end', resolve));
    sent.on('error', reject).end(body);
  });

const timed = async (times: number[], url: string): Promise<Buffer> => {
  const startedAt = performance.now();
  const body = await ask(url);
  times.push(performance.now() - startedAt);
  return body;
};

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

/** The first page that needs the lists of a reader who was never here: ms in which another request was answered meanwhile, at most. */
const newReader = async (base: string): Promise<void> => {
  for (let n = 0; n < HEALTH_CHECKS; n += 1) await ask(`${base}/healthz`);
  const page = ask(`${base}/api/v1/sessions?state=unread&reader=anna&limit=50`).then(() => true);
  const waits: number[] = [];
  const other = (): Promise<boolean> => timed(waits, `${base}/healthz`).then(() => false);
  while (!(await Promise.race([page, other()])));
  say({ besides: Math.max(...waits) });
};

/** What comes behind the list is what a next page is found in. */
const END_BYTES = 400;

const [base = '', bare = ''] = process.argv.slice(2);
/** Pages of one kind, each followed by the same bytes from the bare server. */
const askFor = async (at: number, next: Next, count: number) => {
  const ours: number[] = [];
  const floor: number[] = [];
  let before = '';
  for (let n = 0; n < count; n += 1) {
    const body = await timed(ours, base + next(n, before));
    before = body.subarray(-END_BYTES).toString();
    await timed(floor, `${bare}/${at}`);
  }
  return { ours, floor };
};

await newReader(base);
for (const [at, [, next]] of PAGES.entries()) {
  await put(`${bare}/${at}`, await ask(base + next(0, '')));
  await askFor(at, next, WARM_UP);
}
for (const [at, [name, next]] of PAGES.entries()) say({ name, ...(await askFor(at, next, REQUESTS)) });
agent.destroy();
