// What must hold for the files of the checkout as files: nothing of one machine in them, packages that install everywhere, each with a
// reason to be here.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { listFiles, readSource, ROOT } from './read-tree.ts';

// Put together here, so that this file does not match itself.
const MACHINE_BOUND: readonly (readonly [string, RegExp])[] = [
  ['the host of a package registry', new RegExp(['registry\\.', '(?:npmjs|yarnpkg)', '\\.'].join(''))],
  ['a home directory', new RegExp(['(?<![\\w.])/', '(?:home|Users)', '/[a-z]'].join(''))],
  ["root's directory", new RegExp(['(?<![\\w.])/', 'root', '/'].join(''))],
  ['a private key', new RegExp(['-----BEGIN ', '[A-Z ]*PRIVATE KEY'].join(''))],
];

const IS_TEXT =
  /\.(?:ts|mjs|js|json|md|ya?ml|conf|html|css|sh|txt)$|^(?:\.ci\/run|fleetlog|Dockerfile|LICENSE|\.[a-z]+)$/;

interface LockEntry {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

const readManifest = (): Manifest => JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

const readLock = (): Readonly<Record<string, LockEntry>> => {
  const lock: { packages: Record<string, LockEntry> } = JSON.parse(
    readFileSync(join(ROOT, 'package-lock.json'), 'utf8'),
  );
  return lock.packages;
};

test('no file names a machine, a registry or a key', () => {
  const found = listFiles()
    .filter((path) => IS_TEXT.test(path))
    .flatMap((path) => {
      const { text } = readSource(path);
      return MACHINE_BOUND.filter(([, pattern]) => pattern.test(text)).map(([what]) => `${path}: ${what}`);
    });
  expect(found).toEqual([]);
});

test('the patterns find what they look for', () => {
  const samples = [
    ['https://registry', 'npmjs.org/x'].join('.'),
    ['"', 'home', 'ada', 'x"'].join('/'),
    ['cp', ' /root', 'x'].join('/').replace('cp/', 'cp'),
    ['-----BEGIN', 'RSA PRIVATE KEY-----'].join(' '),
  ];
  for (const [index, sample] of samples.entries())
    expect(sample).toMatch(MACHINE_BOUND[index]?.[1] ?? /never^/);
});

test('the lock file names the packages of every platform, so that npm ci accepts it on each', () => {
  const lock = readLock();
  const missing = Object.entries(lock).flatMap(([path, entry]) =>
    Object.keys(entry.optionalDependencies ?? {}).filter(
      (name) =>
        lock[`node_modules/${name}`] === undefined && lock[`${path}/node_modules/${name}`] === undefined,
    ),
  );
  expect(missing).toEqual([]);
});

test('every package is pinned to one version and has its reason in libs/README.md', () => {
  const { dependencies, devDependencies, optionalDependencies } = readManifest();
  const all = { ...dependencies, ...devDependencies, ...optionalDependencies };
  const loose = Object.entries(all).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version));
  expect(loose).toEqual([]);
  const readme = readFileSync(join(ROOT, 'libs/README.md'), 'utf8');
  expect(Object.keys(all).filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
});

test('every folder of libs is described in libs/README.md', () => {
  const readme = readFileSync(join(ROOT, 'libs/README.md'), 'utf8');
  const folders = new Set(listFiles().flatMap((path) => /^libs\/([^/]+)\//.exec(path)?.[1] ?? []));
  expect([...folders].filter((folder) => !readme.includes(`\`${folder}\``))).toEqual([]);
});
