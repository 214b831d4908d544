// What is known of each isolated workspace, in one file each beside them (`<root>/.fleetlog/`), written whole or not at all. Changed only
// by who holds the workspace's lock.
//
// creating   asked for; nothing was ever started in it
// ready      made whole; work may be in it
// removing   found to hold nothing that would be lost, and being taken away
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** Beside the workspaces; no name of one begins with a dot. */
const FOLDER = '.fleetlog';

const recordSchema = z.object({
  state: z.enum(['creating', 'ready', 'removing']),
  /** Real path of the repository's main checkout. */
  repository: z.string(),
  branch: z.string(),
  /** What was asked for; null: what was checked out. */
  baseRef: z.string().nullable(),
  baseCommit: z.string(),
  /** Paths linked to the main checkout, relative. */
  linked: z.array(z.string()),
  createdAt: z.number(),
  usedAt: z.number(),
});
export type WorktreeRecord = z.infer<typeof recordSchema>;

export interface WorktreeRecords {
  /** Undefined: there is none. Throws when there is one that cannot be read. */
  read(name: string): WorktreeRecord | undefined;
  write(name: string, record: WorktreeRecord): void;
  remove(name: string): void;
  names(): readonly string[];
  /** Where the lock of a workspace is. */
  lockPath(name: string): string;
  /** Where the paths are that git is to pass over. */
  excludePath(name: string): string;
}

const writeWhole = (path: string, content: string): void => {
  const file = openSync(`${path}.new`, 'w', 0o600);
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
};

/** Of the workspaces below `root`; makes nothing until something is written or locked. */
export const createWorktreeRecords = (root: string): WorktreeRecords => {
  const folder = join(root, FOLDER);
  const pathOf = (name: string): string => join(folder, `${name}.json`);
  const made = (): string => {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return folder;
  };
  return {
    read: (name) => {
      if (!existsSync(pathOf(name))) return undefined;
      return recordSchema.parse(JSON.parse(readFileSync(pathOf(name), 'utf8')));
    },
    write: (name, record) => {
      made();
      writeWhole(pathOf(name), `${JSON.stringify(record, null, 2)}\n`);
    },
    remove: (name) => {
      rmSync(pathOf(name), { force: true });
      rmSync(join(folder, `${name}.exclude`), { force: true });
    },
    names: () =>
      existsSync(folder)
        ? readdirSync(folder)
            .filter((file) => file.endsWith('.json'))
            .map((file) => file.slice(0, -'.json'.length))
            .toSorted()
        : [],
    lockPath: (name) => join(made(), `${name}.lock`),
    excludePath: (name) => join(made(), `${name}.exclude`),
  };
};
