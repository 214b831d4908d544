// The bucket port on the JetStream stream behind a key-value bucket (`KV_<bucket>`, subjects `$KV.<bucket>.<key>`), readable
// by any NATS client. What it guarantees stands in libs/ports/key-value.ts.
import type { KeyValue, KeyValueEntry, PutOptions, PutOutcome } from '#libs/ports/key-value.ts';
import { askApi, DEFAULT_PATIENCE, type Patience } from './broker-api.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { directPage } from './direct-read.ts';
import { answerFault, portFault } from './errors.ts';
import { CommitPolicy, type GroupCommitMode, PROBE_SIZE } from './commit-policy.ts';
import { checkKey, checkKeyFilter, valueEntry } from './key-entry.ts';
import { isBatchable, writeBatch } from './key-batch.ts';
import { type KeyChange, KeyWrite, writeMany } from './key-write.ts';
import { readFromLeader } from './leader-read.ts';
import type { WriteContext } from './retried-publish.ts';
import { liveKeys, watchBucket, watchTogether } from './watch.ts';

export interface KeyValueOptions {
  readonly bucket: string;
  /** One attempt, and all of them: after `withinMs` a call ends in `KV_UNAVAILABLE`. @default 2 s and 12 s */
  readonly patience?: Patience;
  /** Whether writes of many keys that each expect a revision go as one atomic batch. @default 'auto': where that is cheaper */
  readonly groupCommit?: GroupCommitMode;
}

/** Most keys of one read. The broker's own limit is 1,024. */
const READ_KEYS = 512;
const NS_PER_S = 1_000_000_000;
const NOTHING = new Uint8Array(0);

const refused = (message: string): Error => portFault('KV', 'REFUSED', message);

const checkRevision = (revision: number | undefined): void => {
  if (revision !== undefined && (!Number.isSafeInteger(revision) || revision < 0))
    throw refused('an expected revision is a whole number from 0');
};

const toSeconds = (ttlMs: number): number => {
  if (!(ttlMs >= 1_000) || ttlMs % 1_000 !== 0)
    throw refused('a key expires after whole seconds, at least one');
  return ttlMs / 1_000;
};

class Bucket implements KeyValue {
  readonly bucket: string;
  readonly #prefix: string;
  readonly #context: WriteContext;
  readonly #policy: CommitPolicy;
  #isWithoutBatches = false;
  #markerSeconds: Promise<number | undefined> | undefined;

  constructor(connection: NatsConnectionHandle, options: KeyValueOptions) {
    const { bucket, patience = DEFAULT_PATIENCE, groupCommit = 'auto' } = options;
    this.bucket = bucket;
    this.#policy = new CommitPolicy(groupCommit, connection.clock);
    this.#prefix = `$KV.${bucket}.`;
    this.#context = { connection, stream: `KV_${bucket}`, family: 'KV', patience };
  }

  async get(key: string): Promise<KeyValueEntry | undefined> {
    checkKey(key);
    const { connection, stream, patience } = this.#context;
    const query = { last_by_subj: this.#prefix + key };
    const last = await readFromLeader(connection, { family: 'KV', stream, patience, query });
    return last === undefined ? undefined : valueEntry(last, this.#prefix.length);
  }

  async getMany(keys: readonly string[]): Promise<ReadonlyMap<string, KeyValueEntry>> {
    const found = new Map<string, KeyValueEntry>();
    const wanted = [...new Set(keys)];
    for (const key of wanted) checkKey(key);
    const pages: (readonly string[])[] = [];
    for (let at = 0; at < wanted.length; at += READ_KEYS) pages.push(wanted.slice(at, at + READ_KEYS));
    const entries = await Promise.all(pages.map((page) => this.#readPage(page)));
    for (const entry of entries.flat()) if (entry !== undefined) found.set(entry.key, entry);
    return found;
  }

  async put(key: string, value: Uint8Array, options: PutOptions = {}): Promise<PutOutcome> {
    return this.#write(this.#change(key, value, options));
  }

  async putMany(entries: Parameters<KeyValue['putMany']>[0]): Promise<readonly PutOutcome[]> {
    const changes = entries.map(({ key, value, options = {} }) => this.#change(key, value, options));
    // A few alone tell what each costs; the rest goes as that says.
    const isAsked = !this.#policy.isSure || this.#policy.wantsProbe;
    if (isAsked && changes.length > 2 * PROBE_SIZE) {
      const first = await writeMany(this.#context, changes.slice(0, PROBE_SIZE), this.#policy);
      return [...first, ...(await this.#writeTogether(changes.slice(PROBE_SIZE)))];
    }
    return isAsked ? writeMany(this.#context, changes, this.#policy) : this.#writeTogether(changes);
  }

  /** As one batch, where that is cheaper. */
  async #writeTogether(changes: readonly KeyChange[]): Promise<readonly PutOutcome[]> {
    const isWorthIt = changes.length >= this.#policy.threshold;
    if (!isWorthIt || this.#isWithoutBatches || !isBatchable(this.#context, changes))
      return writeMany(this.#context, changes, this.#policy);
    const { clock } = this.#context.connection;
    const startedMs = clock.monotonicMs();
    const end = await writeBatch(this.#context, changes);
    if (end.kind === 'stored') {
      this.#policy.observeBatch(clock.monotonicMs() - startedMs, changes.length);
      return end.outcomes;
    }
    if (end.kind === 'no-batches') this.#isWithoutBatches = true;
    const isUnclear = end.kind === 'unclear';
    const singly = isUnclear ? changes.map((change) => ({ ...change, mayBeStored: true })) : changes;
    return writeMany(this.#context, singly, this.#policy);
  }

  async delete(key: string, options: { readonly expectedRevision?: number } = {}): Promise<PutOutcome> {
    checkKey(key);
    checkRevision(options.expectedRevision);
    const ttlSeconds = await this.#markerTtl();
    return this.#write({
      subject: this.#prefix + key,
      value: NOTHING,
      isDelete: true,
      ...options,
      ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    });
  }

  async *keys(filter?: string): AsyncGenerator<string> {
    if (filter !== undefined) checkKeyFilter(filter);
    yield* liveKeys(this.#context, this.#prefix, filter);
  }

  watch(options: Parameters<KeyValue['watch']>[0] = {}): ReturnType<typeof watchBucket> {
    return watchBucket(this.#context, this.#prefix, options);
  }

  watchTogether(
    options: Parameters<KeyValue['watchTogether']>[0] = {},
  ): ReturnType<KeyValue['watchTogether']> {
    return watchTogether(this.#context, this.#prefix, options);
  }

  #change(key: string, value: Uint8Array, options: PutOptions): KeyChange {
    checkKey(key);
    const { expectedRevision, ttlMs } = options;
    checkRevision(expectedRevision);
    return {
      subject: this.#prefix + key,
      value,
      ...(expectedRevision === undefined ? {} : { expectedRevision }),
      ...(ttlMs === undefined ? {} : { ttlSeconds: toSeconds(ttlMs) }),
    };
  }

  #write(change: KeyChange): Promise<PutOutcome> {
    return new Promise((resolve, reject) => new KeyWrite(this.#context, change, { resolve, reject }).send());
  }

  async #readPage(keys: readonly string[]): Promise<readonly (KeyValueEntry | undefined)[]> {
    const subjects = keys.map((key) => this.#prefix + key);
    const page = await directPage(this.#context, 'KV', { multi_last: subjects, batch: READ_KEYS });
    // Not every bucket allows direct reads, and a page ends early at the broker's limit of bytes.
    if (page.unserved || page.more) return Promise.all(keys.map((key) => this.get(key)));
    return page.entries.map((entry) => valueEntry(entry, this.#prefix.length));
  }

  /** How long markers stay, in buckets that let messages expire: without that, deleted keys would take up room for ever. */
  #markerTtl(): Promise<number | undefined> {
    this.#markerSeconds ??= this.#readMarkerTtl().catch((error: unknown) => {
      this.#markerSeconds = undefined;
      throw error;
    });
    return this.#markerSeconds;
  }

  async #readMarkerTtl(): Promise<number | undefined> {
    const { connection, stream, patience } = this.#context;
    const what = `look at bucket ${this.bucket}`;
    const subject = `$JS.API.STREAM.INFO.${stream}`;
    const answer = await askApi(connection, { family: 'KV', what, subject, body: '', patience });
    if (answer.kind === 'error') throw answerFault('KV', what, answer.error);
    const config = answer.value['config'] as Readonly<Record<string, unknown>>;
    const markerNs = config['subject_delete_marker_ttl'];
    if (config['allow_msg_ttl'] !== true || typeof markerNs !== 'number') return undefined;
    return Math.max(1, Math.floor(markerNs / NS_PER_S));
  }
}

/** Opens a bucket. Nothing is sent until the first call; a bucket that is not there makes that call fault with `KV_MISSING`. */
export const openKeyValue = (connection: NatsConnectionHandle, options: KeyValueOptions): KeyValue =>
  new Bucket(connection, options);
