// `npm run test:compose`: the stack of docker-compose.yml in a real container engine. Where there is no engine it says so and
// skips; it never installs one.
import { spawnSync } from 'node:child_process';

const ROOT = `${import.meta.dirname}/../..`;

const answers = (args: readonly string[]): boolean =>
  spawnSync('docker', args, { stdio: 'ignore', timeout: 20_000 }).status === 0;

const missing = (): string | undefined => {
  if (!answers(['--version'])) return 'there is no docker command';
  if (!answers(['compose', 'version'])) return 'docker has no compose plugin';
  if (!answers(['info'])) return 'no container engine answers (is the docker daemon running?)';
  return undefined;
};

const reason = missing();
if (reason === undefined) {
  const args = ['run', '--project', 'compose', ...process.argv.slice(2)];
  const { status } = spawnSync('vitest', args, { cwd: ROOT, stdio: 'inherit' });
  process.exitCode = status ?? 1;
} else process.stdout.write(`skipped: ${reason}\n0 passed, 0 failed, 1 skipped\n`);
