// The contract between the control plane and hosts: what is written comes back typed, defaults are filled in, nonsense is refused.
import { hostConsumerName, topologyOf } from '#streams/consumers.ts';
import { CONTRACT_VERSION, contractOf, OLDEST_CONTRACT } from '#streams/contract-version.ts';
import {
  EXAMPLE_HOST,
  HOST_EXAMPLES,
  HOST_INSTRUCTION_EXAMPLES,
  HOST_PRESENCE_EXAMPLE,
  HOST_REPORT_EXAMPLES,
} from '#streams/generate-host-examples.ts';
import { EXAMPLE, EXAMPLE_AT } from '#streams/generate-examples.ts';
import { decodeHostEvent, encodeHostEvent } from '#streams/host-codec.ts';
import { HOST_INSTRUCTIONS, isHostInstruction } from '#streams/host-instructions.ts';
import { SPAWN_REFUSALS, type SpawnRefusal } from '#streams/host-reports.ts';
import { hostPresenceSchema, type HostWord } from '#streams/host-views.ts';
import type { HostCommand } from '#streams/host.ts';
import { decodeInstruction, encodeInstruction } from '#streams/instruction-codec.ts';
import { decodeReport, encodeReport } from '#streams/report-codec.ts';
import { expect, test } from 'vitest';

const { boundary } = EXAMPLE;
const meta = { boundary, id: 'x', source: '/service/hosts', actor: 'user:anna', timeMs: EXAMPLE_AT };

test('every event of a host comes back as it was written, on the subject of its host', () => {
  for (const event of Object.values(HOST_EXAMPLES)) {
    const entry = encodeHostEvent(event, meta);
    expect(entry.subject).toMatch(/^fleet\.acme\.web\.host\.\d+\.forge-7$/);
    expect(decodeHostEvent(entry)).toMatchObject({ kind: 'known', event });
  }
});

test('LC-07 LC-10 instructions to a host go to its subject, with what is left out filled in', () => {
  const {
    programArguments: _a,
    labels: _l,
    settings: _s,
    ...least
  } = HOST_INSTRUCTION_EXAMPLES['agent-spawn'];
  const entry = encodeInstruction(
    'agent-spawn',
    // What a writer leaves out is filled in by the schema.
    least as (typeof HOST_INSTRUCTION_EXAMPLES)['agent-spawn'],
    { ...meta, target: EXAMPLE_HOST },
  );
  expect(entry.subject).toMatch(/\.cmd\.\d+\.forge-7\.agent-spawn$/);
  expect(decodeInstruction(entry)).toMatchObject({
    name: 'agent-spawn',
    data: { ...least, programArguments: [], labels: [], settings: {} },
  });
  expect(isHostInstruction('agent-shutdown')).toBe(true);
  expect(isHostInstruction('turn')).toBe(false);
});

test('a spawn without a deadline, or with a setting that is no name of one, is refused', () => {
  const spawn = HOST_INSTRUCTION_EXAMPLES['agent-spawn'];
  const { schema } = HOST_INSTRUCTIONS['agent-spawn'];
  expect(schema.safeParse({ ...spawn, deadlineAt: undefined }).success).toBe(false);
  expect(schema.safeParse({ ...spawn, settings: { '--data-dir': '/' } }).success).toBe(false);
  expect(schema.safeParse({ ...spawn, spawnId: 'spw_1' }).success).toBe(false);
});

test('reports of a host are under its name', () => {
  const entry = encodeReport('spawn-started', HOST_REPORT_EXAMPLES['spawn-started'], {
    ...meta,
    agent: EXAMPLE_HOST,
  });
  expect(entry.subject).toMatch(/\.evt\.\d+\.forge-7\.spawn-started$/);
  expect(decodeReport(entry)).toMatchObject({ name: 'spawn-started' });
});

test('the presence of a host is read back, and its words and commands are of one shape', () => {
  expect(hostPresenceSchema.parse(HOST_PRESENCE_EXAMPLE)).toEqual(HOST_PRESENCE_EXAMPLE);
  const { host, seenAt: _seenAt, ...word } = HOST_PRESENCE_EXAMPLE;
  const { labels, capacity, providers, version, contract, platform, journalId, bootId }: HostWord = word;
  const command: HostCommand = {
    kind: 'announce',
    host,
    journalId,
    bootId,
    facts: { labels, capacity, providers, version, contract, platform },
    isOtherAlive: false,
  };
  expect(command.facts.contract).toBe(CONTRACT_VERSION);
});

test('a host has one consumer, of its own instructions only', () => {
  const topology = topologyOf({ replicas: 1, agents: [], hosts: [{ ...boundary, host: EXAMPLE_HOST }] });
  const name = hostConsumerName(boundary, EXAMPLE_HOST);
  expect(topology.consumers.filter((consumer) => consumer.name === name)).toMatchObject([
    {
      stream: 'COMMANDS',
      filterSubjects: [expect.stringMatching(/^fleet\.acme\.web\.cmd\.\d+\.forge-7\.\*$/)],
    },
  ]);
});

test('whoever says nothing of its contract is from before there was one, and still works', () => {
  expect(contractOf({})).toBe(1);
  expect(contractOf({ contract: 0 })).toBeLessThan(OLDEST_CONTRACT);
});

test('every refusal of a host says whether to ask again', () => {
  const again: Partial<Record<SpawnRefusal, string>> = Object.fromEntries(
    Object.entries(SPAWN_REFUSALS).map(([code, { retry }]) => [code, retry]),
  );
  expect(again).toMatchObject({ COMMAND_EXPIRED: 'later', CREDENTIAL_MISSING: 'never' });
});
