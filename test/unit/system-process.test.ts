// The facts that the process tells about itself, and its listeners.
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { systemProcess } from '#libs/system/process-control.ts';
import { readBuildFacts, watchEventLoop } from '#libs/system/process-facts.ts';

describe('build facts', () => {
  test('have the version of the package and of Node', () => {
    expect(readBuildFacts()).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/) as unknown,
      node: process.version,
    });
  });

  test('have the commit when the environment tells it', () => {
    const before = process.env['FLEETLOG_COMMIT'];
    try {
      process.env['FLEETLOG_COMMIT'] = 'abc123';
      expect(readBuildFacts().commit).toBe('abc123');
      process.env['FLEETLOG_COMMIT'] = '';
      expect('commit' in readBuildFacts()).toBe(false);
    } finally {
      if (before === undefined) delete process.env['FLEETLOG_COMMIT'];
      else process.env['FLEETLOG_COMMIT'] = before;
    }
  });
});

describe('the event loop', () => {
  test('is late by as long as it was blocked', async () => {
    const watch = watchEventLoop();
    try {
      const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
      // The measure starts with the first look of its own.
      while (watch.lagMs() < 100) {
        const until = process.hrtime.bigint() + 350_000_000n;
        while (process.hrtime.bigint() < until);
        await turn();
      }
      expect(watch.lagMs()).toBeLessThan(60_000);
    } finally {
      watch.stop();
    }
  });
});

describe('listeners', () => {
  test('are there until they are taken away', () => {
    const before = ['SIGINT', 'SIGTERM', 'uncaughtException', 'unhandledRejection'].map((event) =>
      process.listenerCount(event),
    );
    const removeSignal = systemProcess.onSignal(() => undefined);
    const removeCrash = systemProcess.onCrash(() => undefined);
    const during = ['SIGINT', 'SIGTERM', 'uncaughtException', 'unhandledRejection'].map((event) =>
      process.listenerCount(event),
    );
    expect(during).toEqual(before.map((count) => count + 1));
    removeSignal();
    removeCrash();
    const after = ['SIGINT', 'SIGTERM', 'uncaughtException', 'unhandledRejection'].map((event) =>
      process.listenerCount(event),
    );
    expect(after).toEqual(before);
  });

  test('hear the signal and nothing else', () => {
    const heard: string[] = [];
    const remove = systemProcess.onSignal((signal) => heard.push(signal));
    process.emit('SIGINT');
    process.emit('SIGTERM');
    remove();
    expect(heard).toEqual(['SIGINT', 'SIGTERM']);
  });
});

test('a process of which a machine has many keeps the part of its heap where everything is born small', () => {
  const script = `
    const { keepYoungGenerationSmall } = await import('#libs/system/young-generation.ts');
    const { getHeapSpaceStatistics } = await import('node:v8');
    keepYoungGenerationSmall();
    const kept = [];
    for (let at = 0; at < 300_000; at += 1) kept.push({ at, text: 'x' + at });
    const young = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space');
    console.log(young.space_size, kept.length);`;
  const options = { encoding: 'utf8', cwd: import.meta.dirname } as const;
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], options);
  const [bytes, kept] = said.trim().split(' ').map(Number);
  expect(kept).toBe(300_000);
  expect(bytes).toBeLessThanOrEqual(4 * 1024 * 1024);
});
