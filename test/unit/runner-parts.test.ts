// Small parts of a runner: who may work, where, in which environment, and the order of reports on a disk that is full for a while.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { Change, Outbox } from '#libs/outbox/outbox.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';
import { childEnvironment } from '#services/runner/providers/child-environment.ts';
import { ReportWriter } from '#services/runner/report-writer.ts';
import { WorkSlots } from '#services/runner/work-slots.ts';
import { prepareFolder } from '#services/runner/workspace/folders.ts';
import { parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';

describe('slots', () => {
  const never = new AbortController().signal;

  test('let so many work at once, and one in a workspace; who cannot go does not hold up who can', async () => {
    const slots = new WorkSlots(2);
    const order: string[] = [];
    const take = async (name: string, workspace: string) => {
      const release = await slots.take(workspace, never);
      order.push(name);
      return release;
    };
    const first = await take('first', 'a');
    const waiting = take('second in a', 'a');
    const beside = await take('in b', 'b');
    const third = take('in c', 'c');
    expect(order).toEqual(['first', 'in b']);
    expect(slots.isFull).toBe(true);
    beside?.();
    await third;
    first?.();
    first?.();
    await waiting;
    expect(order).toEqual(['first', 'in b', 'in c', 'second in a']);
  });

  test('a wait that is given up leaves no trace', async () => {
    const slots = new WorkSlots(1);
    expect(slots.isFull).toBe(false);
    const held = await slots.take('a', never);
    expect(slots.isFull).toBe(true);
    const giveUp = new AbortController();
    const waiting = slots.take('b', giveUp.signal);
    giveUp.abort();
    expect(await waiting).toBeUndefined();
    held?.();
    // At once: whoever is told that there is room sees it.
    expect(slots.isFull).toBe(false);
    expect(await slots.take('b', never)).toBeTypeOf('function');
    expect(await slots.take('x', AbortSignal.abort())).toBeUndefined();
  });
});

describe('a workspace', () => {
  const invalid: unknown = expect.objectContaining({ code: 'WORKSPACE_INVALID' });
  let root: string;
  beforeEach(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), 'fleetlog-ws-')));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  test('is made below the root, and found again', () => {
    const path = prepareFolder(join(root, 'deep', 'root'), 'one');
    expect(path).toBe(join(root, 'deep', 'root', 'one'));
    expect(prepareFolder(join(root, 'deep', 'root'), 'one')).toBe(path);
  });

  test.each(['..', '.', '', 'a/b', '../x', '.hidden', 'a\0b', 'x'.repeat(101)])(
    '%j is refused as a name',
    (name) => {
      expect(() => prepareFolder(root, name)).toThrow(invalid);
    },
  );

  test('that is a link, even to a folder beside it, or a file, is refused', () => {
    mkdirSync(join(root, 'real'));
    symlinkSync(join(root, 'real'), join(root, 'link'));
    writeFileSync(join(root, 'file'), '');
    expect(() => prepareFolder(root, 'link')).toThrow(invalid);
    expect(() => prepareFolder(root, 'file')).toThrow();
  });
});

test('the environment of a program is what is on the list, what was asked for, and the facts of its turn', () => {
  const facts = {
    tenant: 't',
    project: 'p',
    agent: 'a',
    runnerId: 'r',
    runId: 'run',
    turnId: 'turn',
    sessionId: 'ses',
    workspace: '/w',
    commands: '/fleetlog',
  };
  const own = { PATH: '/bin', HOME: '/h', LC_ALL: 'C', SECRET: 's', MY_FLAG: '1', FLEETLOG_RUN: 'theirs' };
  expect(childEnvironment(own, facts, ['MY_FLAG', 'ABSENT'])).toEqual({
    PATH: '/bin:/fleetlog',
    HOME: '/h',
    LC_ALL: 'C',
    MY_FLAG: '1',
    FLEETLOG_TENANT: 't',
    FLEETLOG_PROJECT: 'p',
    FLEETLOG_AGENT: 'a',
    FLEETLOG_RUN: 'run',
    FLEETLOG_SESSION: 'ses',
    FLEETLOG_WORKSPACE: '/w',
    FLEETLOG_TURN: 'turn',
    FLEETLOG_RUNNER: 'r',
  });
});

describe('the writer of reports', () => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const scope = {
    runId: makeId('run', ids.ulid()),
    sessionId: makeId('session', ids.ulid()),
    turnId: makeId('turn', ids.ulid()),
    commandId: makeId('command', ids.ulid()),
    fence: 4,
  };
  const setUp = (commit: (change: Change) => Promise<void>) => {
    const written: Record<string, unknown>[] = [];
    const outbox = {
      commit: async (change: Change) => {
        await commit(change);
        for (const { body } of change.records ?? []) written.push(parseJson(body) as Record<string, unknown>);
        return [{ sourceSeq: written.length, id: 'x' }];
      },
    } as unknown as Outbox;
    const boundary = { tenant: 'local', project: 'main' };
    const writer = new ReportWriter({ outbox, redactor: createRedactor(), boundary, agent: 'a', clock, ids });
    return { writer, written };
  };

  test('waits out a full disk and keeps the order', async () => {
    let isFull = true;
    const { writer, written } = setUp(async () => {
      if (isFull) throw new Fault({ code: 'OUTBOX_DISK_FULL', retry: 'later', message: 'full' });
    });
    const writing = ['1', '2', '3'].map((text) => writer.write(scope, 'text', { text }));
    await clock.settle();
    writing.push(writer.write(scope, 'text', { text: '4' }));
    await clock.advance(10_000);
    expect(written).toEqual([]);
    isFull = false;
    await clock.advance(1000);
    await Promise.all(writing);
    expect(written.map(({ text }) => text)).toEqual(['1', '2', '3', '4']);
  });

  test('passes on what cannot be waited out', async () => {
    const { writer } = setUp(async () => {
      throw new Fault({ code: 'OUTBOX_CORRUPT', retry: 'never', message: 'damaged' });
    });
    await expect(writer.write(scope, 'text', { text: 'x' })).rejects.toMatchObject({
      code: 'OUTBOX_CORRUPT',
    });
  });

  test('a result whose texts grow when secrets are taken out still fits the contract', async () => {
    const { writer, written } = setUp(async () => undefined);
    const noise = 'password=aaaaaaaa '.repeat(200);
    const result = {
      outcome: 'failed',
      exitCode: 1,
      signal: null,
      summary: noise.slice(0, 2000),
      failure: { kind: 'provider-failed', message: noise.repeat(2).slice(0, 4000) },
      durationMs: 1,
      events: 0,
    } as const;
    await writer.write(scope, 'turn-finished', { commandId: scope.commandId, result, endedAt: 5 });
    const text = JSON.stringify(written[0]);
    expect(text).not.toContain('aaaaaaaa');
    expect(written[0]).toMatchObject({ turnId: scope.turnId, result: { outcome: 'failed' } });
  });
});
