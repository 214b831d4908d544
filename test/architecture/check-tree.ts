// Holds a tree of sources against the table of layers and the rules that need no compiler. Pure: works on any tree in memory, so its
// own test plants breaches. Formatting, sizes of functions and promises are the linter's business.
import { posix } from 'node:path';
import { BANNED_NAMES, LAYERS, MAX_LINES, PURE_FILE, type Layer } from './import-table.ts';
import { codeOnly, importsOf, withoutComments, type ImportedName, type SourceFile } from './source-file.ts';

const ALIAS = /^#(libs|streams|services|test)\//;

/** Where an import leads: `libs/kernel/fault.ts`, `node:fs`, `npm:zod`. */
const resolve = (from: string, specifier: string): string => {
  if (specifier.startsWith('.')) return posix.normalize(posix.join(posix.dirname(from), specifier));
  if (ALIAS.test(specifier)) return specifier.slice(1);
  return specifier.startsWith('node:') ? specifier : `npm:${specifier}`;
};

/** The folder a file may import freely: `libs/nats/`, `services/runs/`, `streams/`, `test/`. */
const homeOf = (path: string): string => {
  const [top, second] = path.split('/');
  const isNested = (top === 'libs' || top === 'services') && path.split('/').length > 2;
  return isNested ? `${top}/${second}/` : `${top}/`;
};

const matches = (target: string, allowed: readonly string[]): boolean =>
  allowed.some((prefix) =>
    /^npm:[^/]+$|^npm:@[^/]+\/[^/]+$/.test(prefix) && prefix !== 'npm:'
      ? target === prefix || target.startsWith(`${prefix}/`)
      : target.startsWith(prefix),
  );

const isOwn = (path: string, target: string, isTypeOnly: boolean): boolean => {
  const home = homeOf(path);
  if (!target.startsWith(home)) return false;
  // A pure file may lean on pure files only; a type is gone when it runs.
  if (PURE_FILE.test(path)) return isTypeOnly || PURE_FILE.test(target);
  // Files at the top of services/ are roots, not a folder to lean on.
  return home !== 'services/';
};

const mayImport = (layer: Layer, path: string, target: string, isTypeOnly: boolean): boolean => {
  if (isOwn(path, target, isTypeOnly)) return true;
  if (isTypeOnly && matches(target, layer.typesOnly ?? [])) return true;
  return matches(target, layer.mayImport) && !matches(target, layer.except ?? []);
};

const checkSpecifier = (file: SourceFile, used: ImportedName, known: ReadonlySet<string>): string[] => {
  const { specifier } = used;
  const breaches: string[] = [];
  if (specifier.includes('../'))
    breaches.push(`imports ${specifier}: write #libs/…, #streams/…, #services/… or #test/…`);
  const target = resolve(file.path, specifier);
  const isLocal = specifier.startsWith('.') || specifier.startsWith('#');
  if (isLocal && !known.has(target)) breaches.push(`imports ${specifier}, and there is no such file`);
  return breaches;
};

/** Importing it loads much that nobody here uses: the one file that has it otherwise says how much. */
const HTTP = 'libs/local-http/node-http.ts';

const checkBuiltIn = (file: SourceFile, { specifier, isTypeOnly }: ImportedName): string[] =>
  specifier === 'node:http' && !isTypeOnly && !file.path.startsWith('test/')
    ? [`imports node:http: import it from #${HTTP}`]
    : [];

const checkImports = (file: SourceFile, known: ReadonlySet<string>): string[] => {
  const layer = LAYERS.find(({ files }) => files.test(file.path));
  if (layer === undefined) return ['belongs to no layer of the import table'];
  return importsOf(file.text).flatMap((used) => {
    const target = resolve(file.path, used.specifier);
    const breaches = [...checkSpecifier(file, used, known), ...checkBuiltIn(file, used)];
    if (!mayImport(layer, file.path, target, used.isTypeOnly)) {
      breaches.push(`imports ${used.specifier}, which ${layer.name} may not`);
    }
    return breaches;
  });
};

const checkExports = (file: SourceFile): string[] => {
  const code = withoutComments(file.text);
  const breaches: string[] = [];
  if (file.path !== 'vitest.config.ts' && /^export\s+default\b|\bas\s+default\b/m.test(code)) {
    breaches.push('has a default export');
  }
  if (/^export\s+(?:type\s+)?(?:\*|\{[^}]*\})(?:\s+as\s+\w+)?\s*from\b/m.test(code))
    breaches.push('re-exports: name the file itself');
  return breaches;
};

const checkShape = (file: SourceFile): string[] => {
  const breaches: string[] = [];
  const name = posix.basename(file.path).split('.')[0] ?? '';
  if (BANNED_NAMES.has(name)) breaches.push(`is called "${name}": name its job`);
  if (!/^(?:#![^\n]*\n)?(?:\/\/|\/\*)/.test(file.text)) breaches.push('does not open with what it is');
  const lines = withoutComments(file.text)
    .split('\n')
    .filter((line) => line.trim() !== '').length;
  if (lines > MAX_LINES) breaches.push(`has ${lines} lines, and ${MAX_LINES} is the limit`);
  return breaches;
};

const checkEnvironment = (file: SourceFile): string[] =>
  !/^(?:libs\/system|test)\//.test(file.path) && /\bprocess\s*\.\s*env\b/.test(codeOnly(file.text))
    ? ['reads process.env: only libs/system does']
    : [];

/** Each cycle once, as the path around it; types count, because a cycle of types is a file that cannot be read alone. */
const findCycles = (files: readonly SourceFile[]): readonly string[] => {
  const edges = new Map(
    files.map((file) => [
      file.path,
      importsOf(file.text).map(({ specifier }) => resolve(file.path, specifier)),
    ]),
  );
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at !== -1) {
      cycles.push([...trail.slice(at), path].join(' → '));
      return;
    }
    if (done.has(path)) return;
    for (const next of edges.get(path) ?? []) if (edges.has(next)) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return cycles;
};

/** Every breach in the tree, as `path: what`. Empty for a good one. */
export const checkTree = (files: readonly SourceFile[]): readonly string[] => {
  const known = new Set(files.map(({ path }) => path));
  const breaches = files.flatMap((file) =>
    [...checkImports(file, known), ...checkExports(file), ...checkShape(file), ...checkEnvironment(file)].map(
      (breach) => `${file.path}: ${breach}`,
    ),
  );
  return [...breaches, ...findCycles(files).map((cycle) => `cycle: ${cycle}`)];
};
