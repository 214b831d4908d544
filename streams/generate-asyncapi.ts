// streams/asyncapi.yaml: the contract as AsyncAPI 3.0 with JSON schemas made from zod. Pure: returns the document as data.
import { z } from 'zod';
import {
  activityViewSchema,
  approvalsViewSchema,
  leaseSchema,
  presenceSchema,
  runViewSchema,
} from './buckets.ts';
import { CATALOGUE, type CatalogueEntry } from './catalogue.ts';
import { parseJson, type EntryParts } from './entry.ts';
import { exampleEntries } from './generate-example-entries.ts';
import { hostViewSchema } from './host-views.ts';
import { managedAgentSchema, policyViewSchema } from './policy-views.ts';
import { sourceViewSchema } from './source-view.ts';
import { BUCKET_EXAMPLES } from './generate-example-values.ts';
import { DOCUMENTED_REQUESTS } from './generate-requests.ts';
import { messageViewSchema, obligationsSchema } from './mail-views.ts';
import { cursorSchema, sessionViewSchema } from './session-view.ts';
import { streamDefinitions } from './streams.ts';
import { taskViewSchema } from './task-view.ts';
import { receiptSchema } from './receipts.ts';

type Json = Readonly<Record<string, unknown>>;

/** A schema as readers should use it: unknown members are allowed, because changes are additive. */
const schemaOf = (schema: z.ZodType): Json => {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'input', target: 'draft-7' });
  return rest;
};

const ref = (path: string): Json => ({ $ref: `#/${path}` });

const EXAMPLES: ReadonlyMap<string, EntryParts> = new Map(
  exampleEntries().map((entry) => [entry.headers['ce-type'] ?? '', entry]),
);

const text = (description: string, more: Json = {}): Json => ({ type: 'string', description, ...more });

/** The envelope's headers. */
const envelopeHeaders: Json = {
  type: 'object',
  required: [
    'Nats-Msg-Id',
    'ce-specversion',
    'ce-id',
    'ce-type',
    'ce-source',
    'ce-subject',
    'ce-time',
    'content-type',
    'Fleet-Actor',
  ],
  properties: {
    'Nats-Msg-Id': text('Idempotency key; equals ce-id.', { maxLength: 255 }),
    'ce-specversion': text('CloudEvents, binary mode.', { const: '1.0' }),
    'ce-id': text('Fixed at the source.', { maxLength: 255 }),
    'ce-type': text('fleetlog.<noun>.<what>.v<n>', { pattern: '^fleetlog(\\.[a-z][a-z0-9-]*)+\\.v\\d+$' }),
    'ce-source': text('Process that says so.'),
    'ce-subject': text('What it is about: the id of the subject.'),
    'ce-time': text('When it happened, at the source.', { format: 'date-time' }),
    'content-type': text('Of the body.', { enum: ['application/json', 'application/octet-stream'] }),
    'Fleet-Actor': text('On whose behalf.'),
    'Fleet-Causation': text('Id of what caused it.'),
    'Fleet-Correlation': text('Ties one piece of work together.'),
    'Fleet-Fence': text('The claim under which a runner speaks.', { pattern: '^\\d{1,15}$' }),
    'Fleet-Source-Seq': text('Gapless number among the entries of its source.', { pattern: '^\\d{1,15}$' }),
    'Fleet-Source-Buffer': text('The buffer that gave the number; a new one may begin at 1 again.'),
    traceparent: text('W3C trace context.'),
    'ce-dataref': text('Where the whole body is.', { pattern: '^blob:sha256-[0-9a-f]{64}$' }),
  },
};

const message = (entry: CatalogueEntry): Json => {
  const example = EXAMPLES.get(entry.type);
  // A dead letter's body is its origin's; the schema describes the letter as a reader puts it together from the headers.
  const payload = entry.family === 'dead' ? {} : schemaOf(entry.schema);
  return {
    name: entry.type,
    title: entry.type,
    summary: entry.means,
    contentType: 'application/json',
    headers: ref('components/schemas/EnvelopeHeaders'),
    payload,
    ...(example !== undefined && {
      examples: [
        { headers: { 'Nats-Msg-Id': example.id, ...example.headers }, payload: parseJson(example.body) },
      ],
    }),
  };
};

const PARAMETERS: Readonly<Record<string, Json>> = {
  tenant: { description: 'Boundary: tenant.' },
  project: { description: 'Boundary: project.' },
  partition: { description: 'FNV-1a (32 bit) of the id, modulo 16.' },
  runId: { description: 'run_ and a ULID.' },
  sessionId: { description: 'ses_ and a ULID.' },
  taskId: { description: 'tsk_ and a ULID.' },
  host: { description: 'Name of a host.' },
  policy: { description: 'Name of a policy.' },
  admissionId: { description: 'fleet: there is one of a tenant and project.', enum: ['fleet'] },
  agent: { description: 'Name of the agent or host that reports or asks.' },
  recipient: { description: 'Agent or person that the message is for.' },
  target: { description: 'Agent or host that is to act.' },
  service: { description: 'Service that gave up.' },
  reason: {
    description: 'Why.',
    enum: ['undecodable', 'refused-for-good', 'attempts-used-up', 'invariant-broken'],
  },
};

const parametersOf = (address: string): Json =>
  Object.fromEntries(
    [...address.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => [name, ref(`components/parameters/${name}`)]),
  );

const channel = (address: string, entries: readonly CatalogueEntry[], description: string): Json => ({
  address,
  description,
  parameters: parametersOf(address),
  messages: Object.fromEntries(entries.map(({ type }) => [type, ref(`components/messages/${type}`)])),
});

const addressOf = ({ family, subjectType }: CatalogueEntry): string => {
  const tail = {
    run: '{runId}',
    session: '{sessionId}',
    task: '{taskId}',
    host: '{host}',
    policy: '{policy}',
    admission: '{admissionId}',
    evt: `{agent}.${subjectType}`,
    cmd: `{target}.${subjectType}`,
    msg: `{recipient}.${subjectType}`,
    dead: '{service}.{reason}',
  };
  return `fleet.{tenant}.{project}.${family}.{partition}.${tail[family]}`;
};

const channelName = ({ family, subjectType }: CatalogueEntry): string =>
  subjectType === null ? family : `${family}.${subjectType}`;

const eventChannels = (): Json => {
  const names = [...new Set(CATALOGUE.map(channelName))];
  return Object.fromEntries(
    names.map((name) => {
      const entries = CATALOGUE.filter((entry) => channelName(entry) === name);
      const [first] = entries;
      if (first === undefined) return [name, {}];
      return [name, channel(addressOf(first), entries, `Stored in ${first.stream}.`)];
    }),
  );
};

const requestChannels = (): Json =>
  Object.fromEntries(
    DOCUMENTED_REQUESTS.flatMap(({ name, service, operation, byAgent, means }) => {
      const address = `fleet-api.{tenant}.{project}.${service}.${operation}${byAgent ? '.{agent}' : ''}`;
      return [
        [
          name,
          {
            address,
            description: means,
            parameters: parametersOf(address),
            messages: { request: ref(`components/messages/${name}.request`) },
          },
        ],
        [
          `${name}.answer`,
          {
            address: null,
            description: 'The inbox that the request names.',
            messages: { answer: ref(`components/messages/${name}.answer`) },
          },
        ],
      ];
    }),
  );

const requestMessages = (): Json =>
  Object.fromEntries(
    DOCUMENTED_REQUESTS.flatMap(({ name, schemas, example }) => {
      const part = (schema: z.ZodType, payload: unknown): Json => ({
        contentType: 'application/json',
        payload: schemaOf(schema),
        examples: [{ payload }],
      });
      return [
        [`${name}.request`, part(schemas.request, example.request)],
        [`${name}.answer`, part(schemas.answer, { outcome: 'ok', result: example.result })],
      ];
    }),
  );

const operations = (): Json => ({
  ...Object.fromEntries(
    Object.keys(eventChannels()).map((name) => [
      `publish.${name}`,
      { action: 'send', channel: ref(`channels/${name}`) },
    ]),
  ),
  ...Object.fromEntries(
    DOCUMENTED_REQUESTS.map(({ name, means }) => [
      `answer.${name}`,
      {
        action: 'receive',
        summary: means,
        channel: ref(`channels/${name}`),
        reply: { channel: ref(`channels/${name}.answer`) },
      },
    ]),
  ),
});

const BUCKETS = {
  runs: runViewSchema,
  sessions: sessionViewSchema,
  cursors: cursorSchema,
  activity: activityViewSchema,
  approvals: approvalsViewSchema,
  sources: sourceViewSchema,
  tasks: taskViewSchema,
  messages: messageViewSchema,
  obligations: obligationsSchema,
  hosts: hostViewSchema,
  policies: policyViewSchema,
  agents: managedAgentSchema,
  leases: leaseSchema,
  receipts: receiptSchema,
  presence: presenceSchema,
} as const;

const bucketSchemas = (): Json =>
  Object.fromEntries(
    (Object.keys(BUCKETS) as (keyof typeof BUCKETS)[]).map((name) => [
      `bucket.${name}`,
      { title: `Value of bucket ${name}`, ...schemaOf(BUCKETS[name]), examples: [BUCKET_EXAMPLES[name]] },
    ]),
  );

/** The document. */
export const asyncApiDocument = (version: string): Json => ({
  asyncapi: '3.0.0',
  info: {
    title: 'Fleetlog',
    version,
    description:
      'An event-sourced control plane for fleets of coding agents, on NATS JetStream. Prose and tables: streams/README.md.',
    license: { name: 'Apache-2.0' },
  },
  defaultContentType: 'application/json',
  servers: { local: { host: '127.0.0.1:4222', protocol: 'nats', description: 'docker compose up' } },
  channels: { ...eventChannels(), ...requestChannels() },
  operations: operations(),
  components: {
    messages: {
      ...Object.fromEntries(CATALOGUE.map((entry) => [entry.type, message(entry)])),
      ...requestMessages(),
    },
    parameters: PARAMETERS,
    schemas: { EnvelopeHeaders: envelopeHeaders, ...bucketSchemas() },
  },
  'x-streams': streamDefinitions(1),
});
