// The floor of everything that is buffered: SQLite with the buffer's table and settings, and nothing else.
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { NewRecord } from '#libs/outbox/outbox.ts';
import { SCHEMA, sizeOf } from '#libs/outbox/row.ts';

/** Opens `bare.sqlite` in the folder. Each `insert` outside a transaction is one commit, on disk. */
export const openBareBuffer = (dir: string) => {
  const database = new DatabaseSync(join(dir, 'bare.sqlite'));
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  database.exec(SCHEMA);
  const statement = database.prepare('INSERT INTO record VALUES (?, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  let seq = 0;
  const rowOf = (record: NewRecord) => {
    const { worth, lane, kind, id = '', subject, body } = record;
    const headers = JSON.stringify(record.headers);
    return [worth, sizeOf(record, headers), lane, kind, id, 1, 1, subject, headers, body] as const;
  };
  const insert = (row: ReturnType<typeof rowOf>): void => {
    seq += 1;
    statement.run(seq, ...row);
  };
  return { database, rowOf, insert };
};
