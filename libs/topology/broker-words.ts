// Settings in the words of the broker's JetStream API, and back. Pure. Durations there are nanoseconds.
import type { ConsumerSettings, StreamSettings } from './settings.ts';

/** A configuration object as the broker writes it. */
export type BrokerWords = Readonly<Record<string, unknown>>;

const NANOS_PER_MS = 1_000_000;

const nanos = (ms: number): number => ms * NANOS_PER_MS;
const millis = (value: unknown): number => (typeof value === 'number' ? value / NANOS_PER_MS : 0);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(text) : []);
const isSet = (value: unknown): boolean => value === true;
/** The broker leaves out, or says 0 or -1, where there is no limit. */
const limit = (value: unknown): number => (typeof value === 'number' && value > 0 ? value : -1);

const oneOf = <T extends string>(value: unknown, known: readonly T[], otherwise: T): T =>
  known.find((candidate) => candidate === value) ?? otherwise;

/** What to lay over a stream's configuration. */
export const streamWords = (settings: StreamSettings): BrokerWords => ({
  name: settings.name,
  description: settings.description,
  subjects: settings.subjects,
  storage: settings.storage,
  retention: settings.retention,
  discard: settings.discard,
  num_replicas: settings.replicas,
  max_age: nanos(settings.maxAgeMs),
  max_bytes: settings.maxBytes,
  max_msgs: settings.maxMessages,
  max_msgs_per_subject: settings.maxMessagesPerSubject,
  duplicate_window: nanos(settings.duplicateWindowMs),
  compression: settings.compression,
  allow_atomic: settings.allowAtomic,
  allow_msg_schedules: settings.allowSchedules,
  allow_msg_ttl: settings.allowMessageTtl,
  allow_rollup_hdrs: settings.allowRollup,
  allow_direct: settings.allowDirect,
  deny_delete: settings.denyDelete,
  deny_purge: settings.denyPurge,
  subject_delete_marker_ttl: nanos(settings.markerTtlMs),
});

/** The settings of a stream's configuration. */
export const streamSettingsOf = (words: BrokerWords): StreamSettings => ({
  name: text(words['name']),
  description: text(words['description']),
  subjects: texts(words['subjects']),
  storage: oneOf(words['storage'], ['file', 'memory'], 'file'),
  retention: oneOf(words['retention'], ['limits', 'interest', 'workqueue'], 'limits'),
  discard: oneOf(words['discard'], ['old', 'new'], 'old'),
  replicas: typeof words['num_replicas'] === 'number' ? words['num_replicas'] : 1,
  maxAgeMs: millis(words['max_age']),
  maxBytes: limit(words['max_bytes']),
  maxMessages: limit(words['max_msgs']),
  maxMessagesPerSubject: limit(words['max_msgs_per_subject']),
  duplicateWindowMs: millis(words['duplicate_window']),
  compression: oneOf(words['compression'], ['s2', 'none'], 'none'),
  allowAtomic: isSet(words['allow_atomic']),
  allowSchedules: isSet(words['allow_msg_schedules']),
  allowMessageTtl: isSet(words['allow_msg_ttl']),
  allowRollup: isSet(words['allow_rollup_hdrs']),
  allowDirect: isSet(words['allow_direct']),
  denyDelete: isSet(words['deny_delete']),
  denyPurge: isSet(words['deny_purge']),
  markerTtlMs: millis(words['subject_delete_marker_ttl']),
});

const DELIVER_WORDS: Readonly<Record<ConsumerSettings['deliver'], string>> = {
  all: 'all',
  new: 'new',
  last: 'last',
  'last-per-subject': 'last_per_subject',
  'from-sequence': 'by_start_sequence',
  'from-time': 'by_start_time',
};

const deliverOf = (value: unknown): ConsumerSettings['deliver'] =>
  (Object.keys(DELIVER_WORDS) as ConsumerSettings['deliver'][]).find(
    (name) => DELIVER_WORDS[name] === value,
  ) ?? 'all';

/** What to lay over a consumer's configuration. Filters go into the plural field; an overlaid singular one has to be taken out. */
export const consumerWords = (settings: ConsumerSettings): BrokerWords => ({
  name: settings.name,
  durable_name: settings.name,
  description: settings.description,
  filter_subjects: settings.filterSubjects,
  deliver_policy: DELIVER_WORDS[settings.deliver],
  ack_policy: settings.ack,
  ack_wait: nanos(settings.ackWaitMs),
  max_ack_pending: settings.maxAckPending,
  max_deliver: settings.maxDeliver,
  ...(settings.priorityGroup !== null && {
    priority_groups: [settings.priorityGroup],
    priority_policy: 'prioritized',
  }),
});

/** The settings of a consumer's configuration on `stream`. */
export const consumerSettingsOf = (stream: string, words: BrokerWords): ConsumerSettings => {
  const single = text(words['filter_subject']);
  return {
    stream,
    name: text(words['durable_name']) || text(words['name']),
    description: text(words['description']),
    filterSubjects: single === '' ? texts(words['filter_subjects']) : [single],
    deliver: deliverOf(words['deliver_policy']),
    ack: oneOf(words['ack_policy'], ['explicit', 'all', 'none'], 'explicit'),
    ackWaitMs: millis(words['ack_wait']),
    maxAckPending: limit(words['max_ack_pending']),
    maxDeliver: limit(words['max_deliver']),
    priorityGroup: texts(words['priority_groups'])[0] ?? null,
  };
};
