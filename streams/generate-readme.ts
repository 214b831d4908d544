// The reference part of streams/README.md, from the contract itself: subjects, streams, envelope, events, buckets, consumers,
// requests, refusals. How to use it is in generate-guide.ts. Pure.
import { bucketDefinitions, leaseKey, objectStoreDefinitions, presenceKey, viewKey } from './buckets.ts';
import { CATALOGUE, type CatalogueEntry } from './catalogue.ts';
import { DEAD_LETTER_TYPE } from './dead-letters.ts';
import { parseJson, type EntryParts } from './entry.ts';
import { REACTORS_BUCKET, serviceReactors, topologyOf } from './consumers.ts';
import { exampleEntries } from './generate-example-entries.ts';
import { EXAMPLE } from './generate-examples.ts';
import { EXAMPLE_TASK_ID } from './generate-task-examples.ts';
import { EXAMPLE_HOST, HOST_PRESENCE_EXAMPLE } from './generate-host-examples.ts';
import { EXAMPLE_POLICY } from './generate-policy-examples.ts';
import { BUCKET_EXAMPLES } from './generate-example-values.ts';
import { DOCUMENTED_REQUESTS } from './generate-requests.ts';
import { guarantees, howTo, introduction } from './generate-guide.ts';
import { age, block, code, json, size, table } from './generate-markdown.ts';
import { SPAWN_REFUSALS } from './host-reports.ts';
import { hostPresenceKey } from './host-views.ts';
import { REJECTIONS } from './rejections.ts';
import { MAIL_EXAMPLES } from './generate-mail-examples.ts';
import { obligationsKey } from './mail-views.ts';
import { cursorKey } from './session-view.ts';
import { streamDefinitions } from './streams.ts';
import { subjects } from './generate-subjects.ts';
import { agentRequestSubject, requestSubject } from './subjects.ts';
import { receiptKey } from './receipts.ts';

const { boundary, agent, runId, sessionId } = EXAMPLE;
const EXAMPLES: ReadonlyMap<string, EntryParts> = new Map(
  exampleEntries().map((entry) => [entry.headers['ce-type'] ?? '', entry]),
);

const streams = (): string => `## Streams

${table(
  ['stream', 'holds', 'age', 'size', 'ids remembered', 'deletes'],
  streamDefinitions(1).map((stream) => [
    code(stream.name),
    stream.description,
    age(stream.maxAgeMs),
    size(stream.maxBytes),
    `${stream.duplicateWindowMs / 60_000} min`,
    stream.denyDelete === true ? 'refused' : 'by limits',
  ]),
)}

Sizes are what \`fleetlog provision\` asks for; with a storage budget it scales them down and says so. File storage, one replica on
one machine, three in a cluster.`;

const HEADERS: readonly (readonly [string, string, string])[] = [
  ['Nats-Msg-Id', 'always', 'idempotency key; equals `ce-id`'],
  ['ce-specversion', 'always', '`1.0`: CloudEvents, binary mode'],
  ['ce-id', 'always', 'fixed at the source; the same in every repeat'],
  ['ce-type', 'always', '`fleetlog.<noun>.<what>.v<n>`'],
  ['ce-source', 'always', 'process that says so: `/runner/<agent>`, `/service/<name>`'],
  ['ce-subject', 'always', 'what it is about: the `<id>` of the subject'],
  ['ce-time', 'always', 'when it happened, at the source; the stream’s own time says when it was stored'],
  [
    'content-type',
    'always',
    '`application/json`; `application/octet-stream` in a dead letter whose origin was not JSON',
  ],
  ['Fleet-Actor', 'always', 'on whose behalf: `user:<name>`, `agent:<name>`, `service:<name>`'],
  ['Fleet-Causation', 'sometimes', 'id of what caused it'],
  ['Fleet-Correlation', 'sometimes', 'ties one piece of work together: the run’s id'],
  ['Fleet-Fence', 'reports', 'the claim under which a runner speaks; an old fence is refused'],
  ['Fleet-Source-Seq', 'reports', 'number of this entry among those of its source, from 1, without gaps'],
  ['Fleet-Source-Buffer', 'reports', 'the buffer that gave the number; a new one may begin at 1 again'],
  ['traceparent', 'sometimes', 'W3C trace context'],
  [
    'ce-dataref',
    'sometimes',
    '`blob:sha256-<hex>`: the body is an excerpt, the whole is that object in the store `bodies`',
  ],
];

const envelope = (): string => `## Envelope

Attributes are headers, the body is JSON that a person can read. Headers not listed here are of no meaning; ignore them.

${table(
  ['header', 'there', 'means'],
  HEADERS.map(([name, there, means]) => [code(name), there, means]),
)}

Refuse an entry that bears \`Nats-Stream\` or \`Nats-Sequence\` among its stored headers: it is a delivery of another stream that was
aimed at this one.`;

const event = (entry: CatalogueEntry): string => {
  const example = EXAMPLES.get(entry.type);
  const body = example === undefined ? undefined : parseJson(example.body);
  return `#### ${entry.type}

${entry.means}${entry.subjectType === null ? '' : ` Subject ends with ${code(entry.subjectType)}.`}

${json(body)}`;
};

const STREAM_INTRODUCTIONS = {
  TRANSITIONS:
    'Decided by the control plane, appended at the expected sequence of the one subject of the run, session, task, host, policy or admission.',
  EVENTS: 'Facts that runners and hosts report. They decide nothing by themselves.',
  MESSAGES:
    'Mail between agents and people, under its recipient. `sent` holds the message; the others say what became of it, and name it.',
  COMMANDS:
    'To runners and hosts. An instruction is not a right: the runner claims the run before it does anything.',
} as const;

const events = (): string => {
  const of = (stream: string): readonly CatalogueEntry[] =>
    CATALOGUE.filter((entry) => entry.stream === stream);
  const parts = Object.entries(STREAM_INTRODUCTIONS).map(
    ([stream, text]) => `### ${stream}\n\n${text}\n\n${of(stream).map(event).join('\n\n')}`,
  );
  return `## Events

${table(
  ['type', 'stream', 'means'],
  CATALOGUE.map((entry) => [code(entry.type), code(entry.stream), entry.means]),
)}

${parts.join('\n\n')}

${deadLetters()}`;
};

const deadLetters = (): string => {
  const example = EXAMPLES.get(DEAD_LETTER_TYPE);
  const lines = Object.entries(example?.headers ?? {}).map(([name, value]) => `${name}: ${value}`);
  return `### DEADLETTERS

#### ${DEAD_LETTER_TYPE}

The body is the origin’s, byte for byte; the origin’s headers come back behind \`Dead-Origin-\`, and \`Dead-…\` say what happened.
Reasons: \`undecodable\`, \`refused-for-good\`, \`attempts-used-up\`, \`invariant-broken\`. With \`Dead-Body-Omitted\` the body was too
large for a letter: read it at \`Dead-Stream\`, \`Dead-Seq\`.

${block('text', lines.join('\n'))}`;
};

const KEYS: Readonly<Record<keyof typeof BUCKET_EXAMPLES, readonly [string, string]>> = {
  runs: ['<tenant>.<project>.<run id>', viewKey(boundary, runId)],
  sessions: ['<tenant>.<project>.<session id>', viewKey(boundary, sessionId)],
  cursors: [
    '<tenant>.<project>.<session|task>.<reader>.<id>',
    cursorKey(boundary, { kind: 'session', reader: 'anna', id: sessionId }),
  ],
  activity: ['<tenant>.<project>.<run id>', viewKey(boundary, runId)],
  approvals: ['<tenant>.<project>.<run id>', viewKey(boundary, runId)],
  sources: ['<tenant>.<project>.<agent>', viewKey(boundary, agent)],
  tasks: ['<tenant>.<project>.<task id>', viewKey(boundary, EXAMPLE_TASK_ID)],
  messages: ['<tenant>.<project>.<message id>', viewKey(boundary, MAIL_EXAMPLES.sent.messageId)],
  obligations: ['<tenant>.<project>.<agent>', obligationsKey(boundary, agent)],
  hosts: ['<tenant>.<project>.<host>', viewKey(boundary, EXAMPLE_HOST)],
  receipts: ['<tenant>.<project>.<SHA-256 of asker, path and key>', receiptKey(boundary, '0c8d'.repeat(16))],
  policies: ['<tenant>.<project>.<policy>', viewKey(boundary, EXAMPLE_POLICY)],
  agents: ['<tenant>.<project>.<policy>', viewKey(boundary, EXAMPLE_POLICY)],
  leases: ['<tenant>.<project>.run.<run id>', leaseKey(boundary, runId)],
  presence: [
    '<tenant>.<project>.runner.<agent>` and `<tenant>.<project>.host.<host>',
    presenceKey(boundary, agent),
  ],
};

const buckets = (): string => `## Buckets

Each value is JSON. \`derived\` buckets are folds of a stream, can be rebuilt (\`fleetlog projections rebuild\`) and carry \`seq\`: the
stream sequence of the last entry folded into the value. Keys that begin with \`_\` are the projection’s own (\`_position\`: how far it
has come); skip them. Keys of \`leases\`, \`presence\` and \`receipts\` expire: their absence is the fact.

${table(
  ['bucket', 'key', 'holds', 'what'],
  bucketDefinitions(1).map(({ name, description, holds }) => [
    code(name),
    name in KEYS ? code(KEYS[name as keyof typeof KEYS][0]) : '',
    holds,
    description,
  ]),
)}

${(Object.keys(BUCKET_EXAMPLES) as (keyof typeof BUCKET_EXAMPLES)[])
  .map((name) => `### ${name}\n\n${code(KEYS[name][1])}\n\n${json(BUCKET_EXAMPLES[name])}`)
  .join('\n\n')}

### presence of a host

${code(hostPresenceKey(boundary, EXAMPLE_HOST))}

${json(HOST_PRESENCE_EXAMPLE)}`;

const spawnRefusals = (): string => `## Refusals of hosts

Codes of \`spawn-refused\`; \`later\`: the same may be asked again.

${table(
  ['code', 'again', 'means'],
  Object.entries(SPAWN_REFUSALS).map(([name, { retry, meaning }]) => [code(name), retry, meaning]),
)}`;

const objectStores = (): string => `## Object stores

${table(
  ['store', 'age', 'size', 'what'],
  objectStoreDefinitions(1).map(({ name, maxAgeMs, maxBytes, description }) => [
    code(name),
    age(maxAgeMs),
    size(maxBytes),
    description,
  ]),
)}

An object’s name is \`sha256-<hex>\` of its bytes. An entry with \`ce-dataref\` has an excerpt as its body, in which long texts are cut;
\`nats object get bodies sha256-<hex>\` gives the whole JSON body.`;

const consumers = (): string => `## Consumers

Durable, pull, explicit acknowledgement. They are the services’ own: make one of another name for yourself.

${table(
  ['consumer', 'stream', 'filter', 'what'],
  topologyOf({
    replicas: 1,
    agents: [{ ...boundary, agent }],
    hosts: [{ ...boundary, host: EXAMPLE_HOST }],
  }).consumers.map((consumer) => [
    code(consumer.name),
    code(consumer.stream),
    consumer.filterSubjects.map(code).join(' '),
    consumer.description,
  ]),
)}

Reactors that follow a stream without a consumer of their own: their process reads it once for all of them. How far each has come is a
key of the bucket ${code(REACTORS_BUCKET)} (\`seq\`: everything up to it is done, but for what is \`open\`).

${table(
  ['reactor', 'stream', 'filter', 'what'],
  Object.values(serviceReactors).map(({ name, stream, filterSubjects, description }) => [
    code(name),
    code(stream),
    filterSubjects.map(code).join(' '),
    description,
  ]),
)}`;

const request = ({
  name,
  service,
  operation,
  byAgent,
  means,
  example,
}: (typeof DOCUMENTED_REQUESTS)[number]) => {
  const subject = byAgent
    ? agentRequestSubject({ ...boundary, agent }, service, operation)
    : requestSubject(boundary, service, operation);
  return `### ${name}

${means} Subject ${code(subject)}.

${json(example.request)}

${json({ outcome: 'ok', result: example.result })}`;
};

const requests = (): string => `## Requests

JSON in, JSON out, by NATS request. What a runner asks ends with its agent's name, and its broker user may publish that one only: a
runner can neither speak for another agent nor touch another agent's run (\`RUN_FOREIGN\`).

An answer is \`{"outcome":"ok","result":…}\`, \`{"outcome":"refused","code","message","detail"}\` (a
rule says no) or \`{"outcome":"fault","code","message","retry"}\` (something is broken; \`retry\` is \`now\`, \`later\` or \`never\`).

${DOCUMENTED_REQUESTS.map(request).join('\n\n')}`;

const refusals = (): string => `## Refusals

${table(
  ['code', 'kind', 'means'],
  Object.entries(REJECTIONS).map(([name, { kind, meaning }]) => [code(name), kind, meaning]),
)}`;

/** The whole page. */
export const readmePage = (): string =>
  `${[
    introduction(),
    howTo(),
    guarantees(),
    subjects(),
    streams(),
    envelope(),
    events(),
    buckets(),
    objectStores(),
    consumers(),
    requests(),
    refusals(),
    spawnRefusals(),
  ].join('\n\n')}\n`;
