// The files of this checkout: what git tracks, and what it would track (new files that are not ignored).
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SourceFile } from './source-file.ts';

export const ROOT = join(import.meta.dirname, '../..');

// What .gitignore and git itself leave out, for a copy of the sources without a repository.
const NOT_SOURCES = new Set(['node_modules', '.git', '.cache', '.fleetlog', 'data', 'secrets']);

const walk = (folder: string): readonly string[] =>
  readdirSync(join(ROOT, folder), { withFileTypes: true })
    .filter(({ name }) => !NOT_SOURCES.has(name))
    .flatMap((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      return entry.isDirectory() ? walk(path) : [path];
    });

/** Paths from the top of the checkout; files that were deleted but not yet committed are left out. */
export const listFiles = (): readonly string[] =>
  existsSync(join(ROOT, '.git'))
    ? execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
        cwd: ROOT,
        encoding: 'utf8',
        maxBuffer: 64 * 1024 * 1024,
      })
        .split('\0')
        .filter((path) => path !== '' && existsSync(join(ROOT, path)))
    : walk('');

export const readSource = (path: string): SourceFile => ({
  path,
  text: readFileSync(join(ROOT, path), 'utf8'),
});

/** Every TypeScript source of the project. */
export const readTree = (): readonly SourceFile[] =>
  listFiles()
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
    .map(readSource);
