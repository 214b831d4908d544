// Declared against actual: the list of differences and the steps that apply.ts may take. Pure.
// A plan holds no step that deletes an entry or loses a position; what would is in it as a refused difference with what to do.
import { compareConsumer, consumerLabel } from './compare-consumer.ts';
import { compareStream } from './compare-stream.ts';
import { declaredStreams, type DeclaredStream } from './declared-streams.ts';
import type { Topology } from './definitions.ts';
import type { Difference } from './difference.ts';
import type { ActualStream, ActualTopology } from './driver.ts';
import { consumerSettings, type ConsumerSettings, type StreamSettings } from './settings.ts';
import { oldServer } from './server-version.ts';
import { fitToBudget } from './storage-budget.ts';
import { overlaps } from './subject-overlap.ts';

export type Step =
  | {
      readonly kind: 'create-stream' | 'update-stream';
      readonly label: string;
      readonly settings: StreamSettings;
    }
  | {
      readonly kind: 'create-consumer' | 'update-consumer' | 'recreate-consumer';
      readonly label: string;
      readonly settings: ConsumerSettings;
    };

/** How long and how much a stream keeps, as it will be once the plan is applied. */
export interface Retention {
  readonly thing: DeclaredStream['thing'];
  readonly what: string;
  /** 0: for ever. */
  readonly maxAgeMs: number;
  /** -1: no limit. */
  readonly maxBytes: number;
}

export interface Plan {
  readonly serverVersion: string;
  readonly differences: readonly Difference[];
  /** In the order in which they are taken: streams before the consumers on them. */
  readonly steps: readonly Step[];
  readonly warnings: readonly string[];
  readonly retention: readonly Retention[];
}

export interface PlanInput {
  readonly declared: Topology;
  readonly actual: ActualTopology;
  /** Epoch ms: the age of entries is judged by it. */
  readonly nowMs: number;
  /** Bytes of file storage on each server that this deployment may use. A fixed number, not "what is free now". Absent: the broker's own limit. */
  readonly storageBudgetBytes?: number;
}

const budgetOf = (input: PlanInput, streams: readonly DeclaredStream[]): number | null => {
  const replicas = Math.max(1, ...streams.map(({ settings }) => settings.replicas));
  const { storageLimitBytes } = input.actual.server;
  // The broker's limit counts every replica; the budget is that of one server.
  const limits = [
    ...(storageLimitBytes === null ? [] : [storageLimitBytes / replicas]),
    ...(input.storageBudgetBytes === undefined ? [] : [input.storageBudgetBytes]),
  ];
  return limits.length === 0 ? null : Math.min(...limits);
};

interface Part {
  readonly differences: readonly Difference[];
  readonly steps: readonly Step[];
}

const whole = { field: null, from: null, to: null, remedy: null } as const;

const newStream = (declared: DeclaredStream, input: PlanInput, undeclared: readonly ActualStream[]): Part => {
  const { thing, what, settings } = declared;
  const rival = undeclared.find(({ settings: other }) =>
    other.subjects.some((theirs) => settings.subjects.some((ours) => overlaps(ours, theirs))),
  );
  const refuse = (reason: string, remedy: string): Part => ({
    differences: [{ ...whole, kind: 'refused', thing, what, reason, remedy }],
    steps: [],
  });
  if (rival !== undefined)
    return refuse(
      `the stream ${rival.settings.name}, which is not declared, takes subjects of it`,
      'remove or narrow that stream by hand',
    );
  if (settings.replicas > 1 && !input.actual.server.isClustered)
    return refuse(
      `${settings.replicas} replicas are declared and the broker is one server`,
      'declare as many replicas as there are servers, or add servers first',
    );
  return {
    differences: [{ ...whole, kind: 'create', thing, what, reason: null }],
    steps: [{ kind: 'create-stream', label: what, settings }],
  };
};

const planStreams = (streams: readonly DeclaredStream[], input: PlanInput): Part => {
  const { server, streams: present } = input.actual;
  const byName = new Map(present.map((stream) => [stream.settings.name, stream]));
  const declaredNames = new Set(streams.map(({ settings }) => settings.name));
  const undeclared = present.filter(({ settings }) => !declaredNames.has(settings.name));
  const parts = streams.map((declared): Part => {
    const actual = byName.get(declared.settings.name);
    if (actual === undefined) return newStream(declared, input, undeclared);
    const { isClustered } = server;
    const { differences, update } = compareStream(declared, { actual, nowMs: input.nowMs, isClustered });
    const label = declared.what;
    return {
      differences,
      steps: update === null ? [] : [{ kind: 'update-stream', label, settings: update }],
    };
  });
  const left = undeclared.map(({ settings, entries, bytes }): Difference => ({
    ...whole,
    kind: 'unknown',
    thing: 'stream',
    what: settings.name,
    reason: `not declared; left alone with its ${entries} entries (${bytes} bytes)`,
  }));
  return {
    differences: [...parts.flatMap((part) => part.differences), ...left],
    steps: parts.flatMap((part) => part.steps),
  };
};

/** `streamNames`: what is there once the steps before are done. */
const planConsumers = (input: PlanInput, streamNames: ReadonlySet<string>): Part => {
  const present = new Map(
    input.actual.consumers.map((consumer) => [consumerLabel(consumer.settings), consumer]),
  );
  const declared = input.declared.consumers.map(consumerSettings);
  const declaredLabels = new Set(declared.map(consumerLabel));
  const declaredStreamNames = new Set(input.declared.streams.map(({ name }) => name));
  const differences: Difference[] = [];
  const steps: Step[] = [];
  for (const settings of declared) {
    const label = consumerLabel(settings);
    const actual = present.get(label);
    if (actual === undefined && !streamNames.has(settings.stream)) {
      differences.push({
        ...whole,
        kind: 'refused',
        thing: 'consumer',
        what: label,
        reason: `its stream ${settings.stream} is not there and cannot be created`,
        remedy: `see ${settings.stream}`,
      });
      continue;
    }
    if (actual === undefined) {
      differences.push({ ...whole, kind: 'create', thing: 'consumer', what: label, reason: null });
      steps.push({ kind: 'create-consumer', label, settings });
      continue;
    }
    const { differences: found, action } = compareConsumer(settings, actual);
    differences.push(...found);
    if (action.kind !== 'none')
      steps.push({ kind: `${action.kind}-consumer`, label, settings: action.settings });
  }
  for (const { settings } of input.actual.consumers) {
    const label = consumerLabel(settings);
    if (declaredLabels.has(label) || !declaredStreamNames.has(settings.stream)) continue;
    differences.push({
      ...whole,
      kind: 'unknown',
      thing: 'consumer',
      what: label,
      reason: 'not declared; left alone',
    });
  }
  return { differences, steps };
};

const retentionOf = (
  streams: readonly DeclaredStream[],
  steps: readonly Step[],
  input: PlanInput,
): Retention[] => {
  const present = new Map(input.actual.streams.map(({ settings }) => [settings.name, settings]));
  for (const step of steps)
    if (step.kind === 'create-stream' || step.kind === 'update-stream')
      present.set(step.settings.name, step.settings);
  return streams.map(({ thing, what, settings }) => {
    const { maxAgeMs, maxBytes } = present.get(settings.name) ?? settings;
    return { thing, what, maxAgeMs, maxBytes };
  });
};

/** Compares everything. An old server refuses the whole plan: no steps. */
export const planTopology = (input: PlanInput): Plan => {
  const serverVersion = input.actual.server.version;
  const tooOld = oldServer(serverVersion);
  const asDeclared = declaredStreams(input.declared);
  const { streams, warning } = fitToBudget(asDeclared, budgetOf(input, asDeclared));
  if (tooOld !== null)
    return {
      serverVersion,
      differences: [tooOld],
      steps: [],
      warnings: [],
      retention: retentionOf(streams, [], input),
    };
  const streamPart = planStreams(streams, input);
  const streamNames = new Set([
    ...input.actual.streams.map(({ settings }) => settings.name),
    ...streamPart.steps.map(({ settings }) => settings.name),
  ]);
  const consumerPart = planConsumers(input, streamNames);
  const steps = [...streamPart.steps, ...consumerPart.steps];
  return {
    serverVersion,
    differences: [...streamPart.differences, ...consumerPart.differences],
    steps,
    warnings: warning === null ? [] : [warning],
    retention: retentionOf(streams, steps, input),
  };
};
