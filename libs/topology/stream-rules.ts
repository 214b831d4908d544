// May this setting of a stream change, and what does it do to the entries in it? One rule a setting, as data; pure.
// "Cannot be undone" and the like are the broker's own rules, each measured (test/integration/provision.test.ts).
import type { ActualStream } from './driver.ts';
import type { DifferenceKind } from './difference.ts';
import type { StreamSettings } from './settings.ts';

/** `ok` with or without a remark, or a refusal with what to do. */
type Verdict =
  | { readonly kind: 'ok'; readonly remark: string | null }
  | {
      readonly kind: Extract<DifferenceKind, 'refused' | 'recreate-refused' | 'destroy-refused'>;
      readonly reason: string;
      readonly remedy: string;
    };

export interface RuleContext {
  readonly actual: ActualStream;
  readonly nowMs: number;
  readonly isClustered: boolean;
}

type Rule = (to: StreamSettings, context: RuleContext) => Verdict;

/** The ages of two clocks may differ by this; an entry this close to the new limit counts as beyond it. */
const CLOCK_MARGIN_MS = 60_000;

const ok: Verdict = { kind: 'ok', remark: null };
const free: Rule = () => ok;

const destroys = (reason: string, remedy: string): Verdict => ({ kind: 'destroy-refused', reason, remedy });

const fixed =
  (name: string): Rule =>
  (_to, { actual }) => ({
    kind: 'recreate-refused',
    reason: `${name} is fixed when a stream is created, and this one holds ${actual.entries} entries`,
    remedy: 'keep it, or copy the entries into a stream of another name by hand',
  });

/** Settings that can be turned on and never off. */
const onlyOn =
  (field: 'allowSchedules' | 'allowMessageTtl' | 'denyDelete' | 'denyPurge'): Rule =>
  (to) =>
    to[field]
      ? ok
      : {
          kind: 'recreate-refused',
          reason: 'the broker does not let it be turned off again',
          remedy: 'declare it as it is',
        };

const maxAgeMs: Rule = (to, { actual, nowMs }) => {
  const { oldestAt } = actual;
  const isCut = to.maxAgeMs > 0 && oldestAt !== null && nowMs - oldestAt + CLOCK_MARGIN_MS > to.maxAgeMs;
  return isCut
    ? destroys(
        'entries older than that are in it and would be deleted',
        'wait until they have aged out, or delete them by hand first: nats stream purge',
      )
    : ok;
};

const maxBytes: Rule = (to, { actual }) =>
  to.maxBytes >= 0 && to.maxBytes < actual.bytes
    ? destroys(
        `it holds ${actual.bytes} bytes; the oldest entries would be deleted`,
        'declare more, or delete entries by hand first: nats stream purge --keep',
      )
    : ok;

const maxMessages: Rule = (to, { actual }) =>
  to.maxMessages >= 0 && to.maxMessages < actual.entries
    ? destroys(`it holds ${actual.entries} entries; the oldest would be deleted`, 'declare no limit')
    : ok;

const maxMessagesPerSubject: Rule = (to, { actual }) => {
  const { maxMessagesPerSubject: from } = actual.settings;
  const isSmaller = to.maxMessagesPerSubject >= 0 && (from < 0 || to.maxMessagesPerSubject < from);
  return isSmaller && actual.entries > 0
    ? destroys(
        'older entries of a subject (older revisions of a key) would be deleted',
        'keep the history, or build the bucket anew',
      )
    : ok;
};

const replicas: Rule = (to, { actual, isClustered }) => {
  if (to.replicas > 1 && !isClustered)
    return {
      kind: 'refused',
      reason: 'the broker is one server and holds one replica',
      remedy: 'declare as many replicas as there are servers, or add servers first',
    };
  return to.replicas >= actual.settings.replicas
    ? ok
    : destroys(
        'fewer replicas survive fewer losses; a copy of every entry would be deleted',
        'do it by hand if it is meant: nats stream edit --replicas',
      );
};

const duplicateWindowMs: Rule = (to, { actual }) =>
  to.duplicateWindowMs < actual.settings.duplicateWindowMs
    ? { kind: 'ok', remark: 'ids older than that are forgotten at once: a late repeat would be stored again' }
    : ok;

/** The rule of every setting; `subjects` is judged by compare-stream.ts, token by token. */
export const STREAM_RULES: Readonly<Record<Exclude<keyof StreamSettings, 'name' | 'subjects'>, Rule>> = {
  description: free,
  storage: fixed('where entries are stored'),
  retention: fixed('the retention policy'),
  discard: free,
  replicas,
  maxAgeMs,
  maxBytes,
  maxMessages,
  maxMessagesPerSubject,
  duplicateWindowMs,
  compression: free,
  allowAtomic: free,
  allowSchedules: onlyOn('allowSchedules'),
  allowMessageTtl: onlyOn('allowMessageTtl'),
  allowRollup: free,
  allowDirect: free,
  denyDelete: onlyOn('denyDelete'),
  denyPurge: onlyOn('denyPurge'),
  markerTtlMs: free,
};
