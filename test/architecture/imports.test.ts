// The architecture, held: the real tree against the table of layers, and the checker itself against planted breaches.
import { describe, expect, test } from 'vitest';
import { checkTree } from './check-tree.ts';
import { readTree } from './read-tree.ts';
import type { SourceFile } from './source-file.ts';

const file = (path: string, ...lines: readonly string[]): SourceFile => ({
  path,
  text: ['// A sample.', ...lines, ''].join('\n'),
});

const FAULT = file('libs/kernel/fault.ts', 'export const fault = 1;');
const EVENT_LOG = file('libs/ports/event-log.ts', 'export interface EventLog { readonly x: number }');
const RUN = file('streams/run.ts', "import { z } from 'zod';", 'export const run = z;');

const SERVICE = file('services/runs/service.ts', 'export interface X { readonly y: 1 }');

/** The breaches of one file in a small tree around it. */
const breachesOf = (path: string, ...lines: readonly string[]): readonly string[] =>
  checkTree([FAULT, EVENT_LOG, RUN, SERVICE, file(path, ...lines)]);

test('the tree keeps to the table of layers', () => {
  expect(checkTree(readTree())).toEqual([]);
});

describe('the checker lets pass', () => {
  test.each([
    [
      'a lib that uses kernel, ports and node',
      'libs/broker/a.ts',
      "import { fault } from '#libs/kernel/fault.ts';\nimport { join } from 'node:path';",
    ],
    ['a client package in its home', 'libs/nats/a.ts', "import { connect } from '@nats-io/transport-node';"],
    [
      'streams that name a type of a port',
      'streams/a.ts',
      "import type { EventLog } from '#libs/ports/event-log.ts';",
    ],
    [
      'a decider on streams and kernel',
      'services/runs/run.decider.ts',
      "import { run } from '#streams/run.ts';",
    ],
    [
      'code in a comment',
      'libs/kernel/a.ts',
      "// import { x } from 'pino';\n/* export default x; process.env */",
    ],
    [
      'code in a template',
      'libs/kernel/a.ts',
      'export const sample = `\nimport pino from "pino";\nexport default 1;\n`;',
    ],
    ['the word environment in a string', 'libs/kernel/a.ts', "export const text = 'process.env';"],
    [
      'an import over several lines',
      'libs/nats/a.ts',
      "import {\n  connect,\n  type NatsConnection,\n} from '@nats-io/transport-node';",
    ],
  ])('%s', (_, path, text) => {
    expect(breachesOf(path, text)).toEqual([]);
  });
});

describe('the checker catches', () => {
  test.each([
    [
      'kernel that imports anything',
      'libs/kernel/a.ts',
      "import { join } from 'node:path';",
      'imports node:path, which libs/kernel may not',
    ],
    [
      'the HTTP module with all that it loads',
      'services/runner/a.ts',
      "import { createServer, type Server } from 'node:http';",
      'imports node:http: import it from',
    ],
    [
      'a lib that imports streams',
      'libs/broker/a.ts',
      "import { run } from '#streams/run.ts';",
      'which libs/broker may not',
    ],
    [
      'a lib that imports another mechanism',
      'libs/outbox/a.ts',
      "import { x } from '#libs/nats/b.ts';",
      'may not',
    ],
    [
      'the client outside its home',
      'libs/consumers/a.ts',
      "import { connect } from '@nats-io/transport-node';",
      'may not',
    ],
    [
      'the client over several lines',
      'services/runs/a.ts',
      "import {\n  connect,\n} from '@nats-io/transport-node';",
      'may not',
    ],
    ['a dynamic import', 'services/runs/a.ts', "const x = await import('@nats-io/jetstream');", 'may not'],
    ['an import for its effect', 'libs/kernel/a.ts', "import 'pino';", 'may not'],
    [
      'a package that only begins like an allowed one',
      'streams/a.ts',
      "import { x } from 'zod-extra';",
      'may not',
    ],
    [
      'streams that use a value of a port',
      'streams/a.ts',
      "import { log } from '#libs/ports/event-log.ts';",
      'which streams may not',
    ],
    [
      'a service that imports another',
      'services/tasks/a.ts',
      "import { x } from '#services/runs/b.ts';",
      'which services may not',
    ],
    [
      'a service that reaches for the broker',
      'services/runs/a.ts',
      "import { x } from '#libs/broker/b.ts';",
      'which services may not',
    ],
    [
      'a decider that reads a file',
      'services/runs/run.decider.ts',
      "import { readFileSync } from 'node:fs';",
      'which pure files of a service may not',
    ],
    [
      'a decider on a file of its folder that is not pure',
      'services/runs/run.decider.ts',
      "import { x } from './service.ts';",
      'which pure files of a service may not',
    ],
    [
      'test support in the product',
      'libs/ports/a.ts',
      "import { x } from '#test/support/broker.ts';",
      'which libs/ports may not',
    ],
    [
      'a way up',
      'libs/ports/a.ts',
      "import { fault } from '../kernel/fault.ts';",
      'imports ../kernel/fault.ts: write #libs/…',
    ],
    [
      'a file that is not there',
      'libs/ports/a.ts',
      "import { x } from './missing.ts';",
      'there is no such file',
    ],
    ['a default export', 'libs/ports/a.ts', 'export default 1;', 'has a default export'],
    ['a re-export', 'libs/ports/a.ts', "export { fault } from '#libs/kernel/fault.ts';", 're-exports'],
    ['a barrel of types', 'libs/ports/a.ts', "export type * from './event-log.ts';", 're-exports'],
    ['the environment', 'services/runs/a.ts', "const home = process.env['HOME'];", 'reads process.env'],
    ['a name that says nothing', 'libs/ports/utils.ts', 'export const x = 1;', 'is called "utils"'],
    ['a file outside of every folder', 'scripts/a.ts', 'export const x = 1;', 'belongs to no layer'],
    ['a long file', 'libs/ports/a.ts', 'x;\n'.repeat(301), 'has 301 lines'],
  ])('%s', (_, path, text, expected) => {
    expect(breachesOf(path, text).join('\n')).toContain(expected);
  });

  test('a file without a header', () => {
    expect(checkTree([{ path: 'libs/ports/a.ts', text: 'export const x = 1;\n' }])).toEqual([
      'libs/ports/a.ts: does not open with what it is',
    ]);
  });

  test('a cycle, also of types', () => {
    const tree = [
      file('libs/ports/a.ts', "import type { B } from './b.ts';"),
      file('libs/ports/b.ts', "import { c } from './c.ts';"),
      file('libs/ports/c.ts', "import { a } from './a.ts';"),
    ];
    expect(checkTree(tree)).toEqual([
      'cycle: libs/ports/a.ts → libs/ports/b.ts → libs/ports/c.ts → libs/ports/a.ts',
    ]);
  });
});
