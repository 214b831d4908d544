// Records a golden entry for each event type, and each later form of one, that has none: `node test/golden/run.ts`. It never changes one that is there:
// a released entry is as it was written for good, and has to be read for ever. The sums in SHA256SUMS keep it so.
import { exampleEntries } from '#streams/generate-example-entries.ts';
import { readEntry } from '#streams/catalogue.ts';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EntryParts } from '#streams/entry.ts';
import { goldenName, SUMS, sumOf } from './golden-files.ts';
import { LATER_FORMS } from './later-forms.ts';

const lines = existsSync(SUMS) ? readFileSync(SUMS, 'utf8').trimEnd().split('\n').filter(Boolean) : [];
const sums = new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]));
const record = (entry: EntryParts, laterForm?: string): void => {
  const reading = readEntry(entry);
  if (reading.kind === 'problem') throw new Error(`${entry.subject}: ${reading.problem}`);
  const name = laterForm ?? goldenName(reading.envelope.type);
  const path = join(import.meta.dirname, name);
  if (existsSync(path)) return;
  const { subject, id, headers, body } = entry;
  const stored = {
    subject,
    headers: { 'Nats-Msg-Id': id, ...headers },
    body: Buffer.from(body).toString('utf8'),
  };
  const text = `${JSON.stringify({ ...stored, reads: reading }, undefined, 2)}\n`;
  writeFileSync(path, text);
  sums.set(name, sumOf(text));
  process.stdout.write(`recorded ${name}\n`);
};

for (const entry of exampleEntries()) record(entry);
for (const [name, entry] of Object.entries(LATER_FORMS)) record(entry, name);
const sorted = [...sums].toSorted(([a], [b]) => (a < b ? -1 : 1));
writeFileSync(SUMS, sorted.map(([name, sum]) => `${sum}  ${name}\n`).join(''));
