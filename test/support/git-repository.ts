// A git repository for tests: one commit on `main`, ignored and untracked things as a real checkout has them.
import { execFileSync } from 'node:child_process';
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratchDir } from './broker.ts';

const ENVIRONMENT = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  GIT_AUTHOR_NAME: 'Test',
  GIT_AUTHOR_EMAIL: 'test@example.org',
  GIT_COMMITTER_NAME: 'Test',
  GIT_COMMITTER_EMAIL: 'test@example.org',
  GIT_CONFIG_GLOBAL: '/dev/null',
};

/** Runs git in a folder; gives what it prints, trimmed. */
export const git = (folder: string, ...parameters: readonly string[]): string =>
  execFileSync('git', ['-C', folder, ...parameters], {
    env: ENVIRONMENT,
    encoding: 'utf8',
    stdio: 'pipe',
  }).trim();

/** Writes files and commits them all. */
export const commitFiles = (
  folder: string,
  files: Readonly<Record<string, string>>,
  message = 'more',
): string => {
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  git(folder, 'add', '--', ...Object.keys(files));
  git(folder, 'commit', '-q', '-m', message);
  return git(folder, 'rev-parse', 'HEAD');
};

/** Makes the repository; gives its real path. `node_modules` is ignored as a folder, `data` is untracked. */
export const gitRepository = (): string => {
  const folder = realpathSync(scratchDir('repository'));
  git(folder, 'init', '-q', '-b', 'main');
  commitFiles(folder, { 'README.md': 'hello\n', '.gitignore': 'node_modules/\n*.log\n' }, 'first');
  mkdirSync(join(folder, 'node_modules', 'left-pad'), { recursive: true });
  writeFileSync(join(folder, 'node_modules', 'left-pad', 'index.js'), 'pad\n');
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data', 'big.csv'), '1,2\n');
  return folder;
};
