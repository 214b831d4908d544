// What an agent is told about its workspace, when a workspace may be taken away, and whether there is room for a turn.
import {
  anything,
  assert,
  boolean,
  constantFrom,
  integer,
  property,
  record,
  string,
  type Arbitrary,
} from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judge, type WorkspaceCondition } from '#services/runner/workspace/clean.policy.ts';
import { checkFloor } from '#services/runner/workspace/disk-floor.ts';
import { sharedPath } from '#services/runner/workspace/linked-paths.ts';
import { workspaceNotes, type WorkspaceFacts } from '#services/runner/workspace/workspace-notes.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const facts = (changes: Partial<WorkspaceFacts> = {}): string =>
  JSON.stringify({ mode: 'isolated', deps: { mode: 'own' }, symlinks: { linked: [] }, ...changes });

describe('notes about a workspace', () => {
  test.each([
    ['absent', undefined],
    ['empty', ''],
    ['no JSON', '{mode'],
    ['of another shape', '{"mode":"isolated"}'],
    ['of a mode not known', facts({ mode: 'other' as 'folder' })],
    ['a list', '[]'],
  ])('RN-18 facts that are %s give none', (_, json) => {
    expect(workspaceNotes(json)).toBe('');
  });

  test('RN-18 nothing makes them fail', () => {
    assert(
      property(anything(), string(), (value, text) => {
        expect(typeof workspaceNotes(JSON.stringify(value))).toBe('string');
        expect(typeof workspaceNotes(text)).toBe('string');
      }),
      propertyRuns(500),
    );
  });

  test('RN-19 dependencies come first, then the links, with a blank line between', () => {
    const notes = workspaceNotes(
      facts({ deps: { mode: 'linked' }, symlinks: { linked: ['node_modules', 'data/cache'] } }),
    );
    const [first = '', second = ''] = notes.split('\n\n');
    expect(first).toMatch(/^Dependencies: the installed ones are those of the main checkout/);
    expect(second).toMatch(/links to the main checkout:\n- node_modules\n- data\/cache\n/);
    expect(second).toMatch(
      /edit or delete there is edited or deleted in the main checkout.*read-only unless/,
    );
  });

  test('RN-19 links are told of in an isolated workspace only, and only where there are some', () => {
    const linked = { linked: ['node_modules'] };
    expect(workspaceNotes(facts({ mode: 'folder', symlinks: linked }))).toBe('');
    expect(workspaceNotes(facts())).toBe('');
    expect(workspaceNotes(facts({ deps: { mode: 'absent' } }))).toMatch(
      /^Dependencies: none are installed[^\n]*$/,
    );
    expect(workspaceNotes(facts({ symlinks: linked }))).not.toContain('Dependencies');
  });
});

describe('taking a workspace away', () => {
  const findings = { changes: 0, unmerged: 0, isInOperation: false, hasSubmodules: false };
  const idle = (more: Partial<typeof findings>): WorkspaceCondition => ({
    kind: 'idle',
    findings: { ...findings, ...more },
  });

  test.each<[string, WorkspaceCondition]>([
    ['a plain folder', { kind: 'folder' }],
    ['in use', { kind: 'in-use' }],
    ['cannot be read', { kind: 'unreadable', problem: 'cannot be read' }],
    ['1 uncommitted change', idle({ changes: 1 })],
    ['3 unmerged commits', idle({ unmerged: 3 })],
    ['a merge, rebase or the like has begun', idle({ isInOperation: true })],
    ['has submodules', idle({ hasSubmodules: true })],
    ['used too recently', { kind: 'recent' }],
  ])('is not done: %s', (reason, condition) => {
    const verdict = judge(condition);
    expect(verdict.remove).toBe(false);
    expect(verdict.reason).toContain(reason);
  });

  test('is done when everything is committed and merged, and to what was never worked in', () => {
    expect(judge(idle({})).remove).toBe(true);
    expect(judge({ kind: 'left-over' }).remove).toBe(true);
  });

  test('never happens to work that nothing else holds, whatever else is true', () => {
    const arb: Arbitrary<WorkspaceCondition> = record({
      kind: constantFrom('idle' as const),
      findings: record({
        changes: integer({ min: 0, max: 3 }),
        unmerged: integer({ min: 0, max: 3 }),
        isInOperation: boolean(),
        hasSubmodules: boolean(),
      }),
    });
    assert(
      property(arb, (condition) => {
        if (!judge(condition).remove || condition.kind !== 'idle') return;
        expect(condition.findings).toEqual(findings);
      }),
      propertyRuns(500),
    );
  });
});

test.each(['', '.', '..', '../x', '/etc', 'a/../../x', '.git', '.git/hooks'])(
  '%j is refused as a shared path',
  (path) => {
    expect(() => sharedPath(path)).toThrow(/cannot be shared/);
  },
);

test('a shared path is taken as git writes it', () => {
  expect(['node_modules/', './data//cache', '.gitignored'].map((path) => sharedPath(path))).toEqual([
    'node_modules',
    'data/cache',
    '.gitignored',
  ]);
});

describe('room for a turn', () => {
  const measure = async (path: string): Promise<number> => (path === '/full' ? 999 : 5000);

  test('too little in any of the places fails it, with the figures', async () => {
    await expect(checkFloor(['/ok', '/full'], 1000, measure)).rejects.toMatchObject({
      code: 'DISK_FLOOR',
      message: expect.stringMatching(/^only 999 bytes are free in \/full, and 1000 have to be/),
      detail: { path: '/full', freeBytes: 999, floorBytes: 1000 },
    });
  });

  test('enough, or a floor of 0, does not', async () => {
    await checkFloor(['/ok', '/full'], 999, measure);
    await checkFloor(['/nowhere'], 0);
    await expect(checkFloor(['/'], Number.MAX_SAFE_INTEGER)).rejects.toThrow(/bytes are free in \//);
  });
});
