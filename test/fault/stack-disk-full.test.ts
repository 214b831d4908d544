// A disk that fills up under the running stack, on a small file system of its own: the stack says what is wrong, loses nothing that was
// acknowledged, and goes on by itself when there is room again. Needs root, to mount it.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { fillDisk, smallDisk } from '#test/support/small-disk.ts';
import { api, stackHome } from '#test/support/stack.ts';
import { wholeStream } from '#test/support/sse-client.ts';

test('a full disk is named, costs nothing that was acknowledged, and is got over when there is room', async ({
  skip,
}) => {
  const disk = smallDisk(160) ?? skip('a small file system cannot be mounted here');
  const home = await stackHome('disk', disk);
  onTestFinished(() => home[Symbol.asyncDispose]());
  // The runner's own floor would refuse turns on so small a disk before it is full.
  const stack = await home.up(['--storage', '64MiB'], { FLEETLOG_RUNNER_DISK_FLOOR_BYTES: '0' });
  const ask = (key: string): ReturnType<typeof api> =>
    api(stack.apiUrl, '/api/v1/runs', {
      json: { prompt: JSON.stringify([{ say: key }]) },
      headers: { 'idempotency-key': key },
    });
  const before = await ask('before');
  await wholeStream(`${stack.apiUrl}/api/v1/runs/${String(before.body['runId'])}/stream`);

  fillDisk(join(disk, 'fill'));
  const acknowledged = [before];
  let answer = await ask('full-0');
  for (let n = 1; answer.status === 202; n += 1) {
    // What still fits into a page that was there already.
    acknowledged.push(answer);
    answer = await ask(`full-${n}`);
  }
  expect(answer).toMatchObject({ status: 503 });
  expect(await stack.stderr.until(/the disk of .* is full/)).toMatch(
    /no space left on device.*Free some space/,
  );

  rmSync(join(disk, 'fill'));
  await stack.stderr.until(/the broker is back/);
  await expect.poll(async () => (await ask('after')).status, { timeout: 20_000 }).toBe(202);
  acknowledged.push(await ask('after'));
  for (const { body } of acknowledged) {
    const runId = String(body['runId']);
    const frames = await wholeStream(`${stack.apiUrl}/api/v1/runs/${runId}/stream`);
    const ends = frames.flatMap(({ data }) => (data['type'] === 'fleetlog.run.completed.v1' ? [data] : []));
    expect(ends, runId).toHaveLength(1);
  }
  const verified = await home.cli(['verify']);
  expect(verified.code, verified.stdout).toBe(0);
  stack.kill('SIGINT');
  expect(await stack.exit).toEqual({ code: 0, signal: null });
}, 90_000);
