// Which processes of this machine bear a mark: those that were started since a moment are found without looking at the older ones,
// and where ids cannot be compared all of them are looked at.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { isNobodySince, lowestPid, noteBirth, type Birth } from '#libs/processes/process-ids.ts';

/** A process that bears the mark and lives until the end of the test. */
const marked = async (mark: string): Promise<number> => {
  const child = spawn('/bin/sh', ['-c', 'echo up; read -r line'], {
    env: { FLEETLOG_MARK: mark },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child.pid ?? 0;
};

test.runIf(process.platform === 'linux')(
  'a process of another turn is passed over, also when it was looked at before, and one that comes later is found',
  async () => {
    const [mine, other] = [systemIds.ulid(), systemIds.ulid()];
    const birth = noteBirth();
    const theirs = await marked(other);
    expect(await findMarked(`FLEETLOG_MARK=${mine}`, birth)).toEqual([]);
    const ours = await marked(mine);
    expect(await findMarked(`FLEETLOG_MARK=${mine}`, birth)).toEqual([ours]);
    // What is known of it for one mark says nothing of another.
    expect(await findMarked(`FLEETLOG_MARK=${other}`, birth)).toEqual([theirs]);
    expect(await findMarked(`FLEETLOG_MARK=${other.slice(0, -1)}`, birth)).toEqual([]);
  },
);

test.runIf(process.platform === 'linux')(
  'the threads of a process are not counted as further ones',
  async () => {
    const mark = systemIds.ulid();
    const birth = noteBirth();
    // Node has a dozen of them.
    const child = spawn(process.execPath, ['-e', "console.log('up'); process.stdin.resume()"], {
      env: { FLEETLOG_MARK: mark },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    expect(await findMarked(`FLEETLOG_MARK=${mark}`, birth)).toEqual([child.pid]);
  },
);

test.runIf(process.platform === 'linux')(
  'what was started since is found, what is older is not looked at, and no birth means all',
  async () => {
    const mark = systemIds.ulid();
    const older = await marked(mark);
    const birth = noteBirth();
    const younger = await marked(mark);
    if (birth === undefined) throw new Error('this system does not count');
    const since = await findMarked(`FLEETLOG_MARK=${mark}`, birth);
    // Near the highest id all are looked at; once so, for ever.
    if (lowestPid(birth) > 0) expect(since).toEqual([younger]);
    expect(since).toContain(younger);
    expect(isNobodySince(birth, `FLEETLOG_MARK=${mark}`)).toBe(false);
    const all = [older, younger].toSorted((a, b) => a - b);
    expect((await findMarked(`FLEETLOG_MARK=${mark}`)).toSorted((a, b) => a - b)).toEqual(all);
    // So many were started since that ids may have begun anew, or a system that does not count.
    const { lastPid, forks } = birth;
    const uncertain: Birth[] = [
      { lastPid, forks: forks - 1e9 },
      { lastPid: 2 ** 31, forks },
      { lastPid, forks: forks + 1e9 },
    ];
    for (const from of uncertain) {
      expect((await findMarked(`FLEETLOG_MARK=${mark}`, from)).toSorted((a, b) => a - b)).toEqual(all);
      expect(isNobodySince(from, `FLEETLOG_MARK=${mark}`)).toBe(false);
    }
  },
);
