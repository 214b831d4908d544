// The generated pages: what they say of the contract, that AsyncAPI's references hold, and that --check notices a stale page.
import { CATALOGUE } from '#streams/catalogue.ts';
import { topologyOf } from '#streams/consumers.ts';
import { asyncApiDocument } from '#streams/generate-asyncapi.ts';
import { readmePage } from '#streams/generate-readme.ts';
import { RUN_REQUESTS } from '#streams/run-requests.ts';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';

const ROOT = join(import.meta.dirname, '../..');
const document = asyncApiDocument('1.2.3');

/** Every value in a document with its path. */
function* walk(value: unknown, path: readonly string[] = []): Generator<readonly [string, unknown]> {
  yield [path.join('/'), value];
  if (typeof value !== 'object' || value === null) return;
  for (const [key, member] of Object.entries(value)) yield* walk(member, [...path, key]);
}

const at = (pointer: string): unknown => {
  let value: unknown = document;
  for (const key of pointer.replace(/^#\//, '').split('/'))
    value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
  return value;
};

test('the pages in the checkout are those that the contract makes', async () => {
  const check = promisify(execFile)(process.execPath, ['streams/generate.ts', '--check'], { cwd: ROOT });
  await expect(check).resolves.toMatchObject({ stderr: '' });
});

describe('README', () => {
  const page = readmePage();

  test('names every event, stream, bucket, consumer, store and request', () => {
    const { streams, buckets, consumers, objectStores } = topologyOf({
      replicas: 1,
      agents: [{ tenant: 'acme', project: 'web', agent: 'builder-1' }],
    });
    for (const { type, means } of CATALOGUE) {
      expect(page).toContain(`| \`${type}\``);
      expect(page).toContain(means);
    }
    for (const { name } of [...streams, ...buckets, ...consumers, ...objectStores])
      expect(page).toContain(`\`${name}\``);
    for (const operation of Object.keys(RUN_REQUESTS)) expect(page).toContain(`### runs.${operation}`);
  });

  test('shows only JSON that is JSON', () => {
    const shown = [...page.matchAll(/```json\n(.*?)\n```/gs)].map(([, text = '']) => text);
    expect(shown.length).toBeGreaterThan(CATALOGUE.length);
    for (const text of shown) expect(() => JSON.parse(text) as unknown, text).not.toThrow();
  });

  test('has no table row that breaks out of its table', () => {
    const lines = page.split('\n');
    for (const [index, line] of lines.entries()) {
      const before = lines[index - 1] ?? '';
      if (!line.startsWith('|') || !before.startsWith('|')) continue;
      const columns = (text: string): number => text.replaceAll('\\|', '').split('|').length;
      expect(columns(line), line).toBe(columns(before));
    }
  });
});

describe('AsyncAPI', () => {
  test('every reference leads somewhere', () => {
    const references = [...walk(document)].filter(([path]) => path.endsWith('$ref'));
    expect(references.length).toBeGreaterThan(50);
    for (const [path, pointer] of references)
      expect(at(String(pointer)), `${path}: ${String(pointer)}`).toBeDefined();
  });

  test('each event has a message, and each message is on a channel', () => {
    const channels = Object.values(
      document['channels'] as Record<string, { messages: Record<string, unknown> }>,
    );
    const onChannels = new Set(
      channels.flatMap(({ messages }) => Object.values(messages)).map((each) => JSON.stringify(each)),
    );
    for (const { type } of CATALOGUE) {
      expect(at(`components/messages/${type}`)).toMatchObject({ name: type });
      expect(onChannels).toContain(JSON.stringify({ $ref: `#/components/messages/${type}` }));
    }
  });

  test('each address names its parameters', () => {
    const channels = Object.values(
      document['channels'] as Record<string, { address: string | null; parameters?: object }>,
    );
    for (const { address, parameters } of channels) {
      if (address === null) continue;
      const named = [...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(Object.keys(parameters ?? {})).toEqual(named);
    }
  });

  test('the schemas accept the examples beside them, and what a newer version has added', () => {
    const messages = (
      document['components'] as {
        messages: Record<string, { payload: object; examples?: { payload: object }[] }>;
      }
    ).messages;
    let accepted = 0;
    for (const [name, { payload, examples = [] }] of Object.entries(messages)) {
      const schema = z.fromJSONSchema(payload as Parameters<typeof z.fromJSONSchema>[0]);
      for (const { payload: example } of examples) {
        expect(schema.safeParse(example).error, name).toBeUndefined();
        expect(schema.safeParse({ ...example, addedLater: true }).error, name).toBeUndefined();
        accepted += 1;
      }
    }
    expect(accepted).toBeGreaterThan(CATALOGUE.length);
  });

  test('the file is the document', () => {
    const file = parse(readFileSync(join(ROOT, 'streams/asyncapi.yaml'), 'utf8')) as {
      info: { version: string };
    };
    const fresh = asyncApiDocument(file.info.version);
    expect(file).toEqual(JSON.parse(JSON.stringify(fresh)));
  });
});
