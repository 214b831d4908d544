// The subjects of streams/README.md as a table. Pure.
import { ADMISSION_ID } from './admission.ts';
import { EXAMPLE_TASK_ID } from './generate-task-examples.ts';
import { EXAMPLE_HOST } from './generate-host-examples.ts';
import { EXAMPLE } from './generate-examples.ts';
import { EXAMPLE_POLICY } from './generate-policy-examples.ts';
import { POLICY_TIMER } from './consumers.ts';
import { code, table } from './generate-markdown.ts';
import {
  agentRequestSubject,
  AGGREGATE_FAMILIES,
  aggregateSubject,
  PARTITIONS,
  timerSubject,
  typedSubject,
} from './subjects.ts';

const { boundary, agent, runId, sessionId } = EXAMPLE;

const AGGREGATES = {
  run: { means: 'every transition of one run, in order', id: runId },
  session: { means: 'every transition of one session itself, in order', id: sessionId },
  task: { means: 'every transition of one task, in order', id: EXAMPLE_TASK_ID },
  host: { means: 'every transition of one host, in order', id: EXAMPLE_HOST },
  policy: { means: 'configuration and life of one policy, in order', id: EXAMPLE_POLICY },
  admission: { means: 'every hand-over of tasks to agents, in order', id: ADMISSION_ID },
} as const;

const aggregateRows = (): readonly (readonly string[])[] =>
  AGGREGATE_FAMILIES.map((family) => [
    code(family),
    code(`fleet.*.*.${family}.*.<id>`),
    'TRANSITIONS',
    family in AGGREGATES
      ? AGGREGATES[family as keyof typeof AGGREGATES].means
      : `transitions of one ${family} (reserved)`,
    family in AGGREGATES
      ? code(aggregateSubject(boundary, family, AGGREGATES[family as keyof typeof AGGREGATES].id))
      : '',
  ]);

const typedRows = (): readonly (readonly string[])[] => [
  [
    code('evt'),
    code('fleet.*.*.evt.*.<agent>.<type>'),
    'EVENTS',
    'what an agent’s runner, or a host, reports',
    code(typedSubject(boundary, 'evt', agent, 'text')),
  ],
  [
    code('cmd'),
    code('fleet.*.*.cmd.*.<target>.<type>'),
    'COMMANDS',
    'instructions to a runner or host',
    code(typedSubject(boundary, 'cmd', agent, 'turn')),
  ],
  [
    code('msg'),
    code('fleet.*.*.msg.*.<recipient>.<type>'),
    'MESSAGES',
    'messages to an agent or a person, and what became of them',
    code(typedSubject(boundary, 'msg', agent, 'sent')),
  ],
  [
    code('dead'),
    code('fleet.*.*.dead.*.<service>.<reason>'),
    'DEADLETTERS',
    'what could not be processed',
    code(typedSubject(boundary, 'dead', 'runs', 'undecodable')),
  ],
];

const otherRows = (): readonly (readonly string[])[] => [
  [
    code('timer'),
    code('fleet.*.*.timer.{set,fire}.<owner>.<id>'),
    'TIMERS',
    'schedules, and where they ring',
    code(timerSubject(boundary, 'fire', { owner: POLICY_TIMER, id: EXAMPLE_POLICY })),
  ],
  [
    '–',
    code('fleet-api.<tenant>.<project>.<service>.<operation>[.<agent>]'),
    'none',
    'requests and answers; with the agent when a runner asks',
    code(agentRequestSubject({ ...boundary, agent }, 'runs', 'claim')),
  ],
];

/** The section. */
export const subjects = (): string => `## Subjects

${code('fleet.<tenant>.<project>.<family>.<p>.<id>[.<type>]')}: \`<p>\` is the partition of \`<id>\`: FNV-1a (32 bit) of its bytes modulo ${PARTITIONS},
the same as nats-server's \`{{partition(${PARTITIONS},1)}}\`. Fixed for good; a tool that does not care writes \`*\`.
Tokens are 1 to 100 of \`A-Z a-z 0-9 _ -\` and begin with a letter or digit; names that people choose are lower case, at most 64.

${table(
  ['family', 'subject', 'stream', 'what', 'example'],
  [...aggregateRows(), ...typedRows(), ...otherRows()],
)}`;
