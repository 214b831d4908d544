// A control endpoint in this process without a runner around it: parts as a test gives them, reports as values.
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { askLocally, type LocalAnswer } from '#libs/local-http/ask-locally.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { newSecret } from '#libs/system/secrets.ts';
import type { Logger } from '#libs/telemetry/logger.ts';
import {
  createControlEndpoint,
  type ControlEndpoint,
  type ControlOptions,
} from '#services/runner/control/control-endpoint.ts';
import type {
  ControlParts,
  MailPart,
  ObligationSnapshot,
  OwedReply,
} from '#services/runner/control/control-parts.ts';
import type { TurnScope } from '#services/runner/report-writer.ts';
import { makeId } from '#streams/ids.ts';
import type { ProviderName } from '#streams/run.ts';
import { scratchDir } from './broker.ts';

interface RecordedReport {
  readonly turnId: string;
  readonly name: string;
  readonly payload: unknown;
  readonly id: string | undefined;
}

interface RigTurn {
  readonly scope: TurnScope;
  readonly token: string;
}

export interface ControlRig {
  readonly endpoint: ControlEndpoint;
  readonly dataDir: string;
  readonly reports: readonly RecordedReport[];
  readonly logged: readonly { readonly level: string; readonly message: string }[];
  /** Begins a turn, in the session of `before` where one is given. */
  turn(provider?: ProviderName, prompt?: string, before?: TurnScope): RigTurn;
  /** Where it listens. */
  address(): string;
  loopback(): string;
  /** GET without a body, else POST. */
  ask(path: string, token?: string, body?: unknown): Promise<LocalAnswer>;
}

const loggerInto = (lines: { level: string; message: string }[]): Logger => {
  const at =
    (level: string) =>
    (message: string): void =>
      void lines.push({ level, message });
  const logger = {
    ...Object.fromEntries(['debug', 'info', 'warn', 'error', 'fatal'].map((level) => [level, at(level)])),
    child: () => logger,
  } as unknown as Logger;
  return logger;
};

/** A reply that is owed and was seen. */
export const owedReply = (given: Partial<OwedReply> = {}): OwedReply => ({
  messageId: makeId('message', systemIds.ulid()),
  from: 'user',
  subject: 'A question',
  sentAt: 1,
  deliveredAt: 2,
  injectedAt: 3,
  ...given,
});

/** What is owed, as a value that a test can change. */
export const owing = (
  ...owed: OwedReply[]
): { snapshot: ObligationSnapshot; current(): ObligationSnapshot } => ({
  snapshot: { ready: true, revision: 1, refreshedAt: 5, owed },
  current() {
    return this.snapshot;
  },
});

const newScope = (): TurnScope => ({
  runId: makeId('run', systemIds.ulid()),
  sessionId: makeId('session', systemIds.ulid()),
  turnId: makeId('turn', systemIds.ulid()),
  commandId: makeId('command', systemIds.ulid()),
  fence: 7,
});

export interface RigOptions extends Partial<Omit<ControlOptions, 'parts' | 'writer'>> {
  readonly parts?: ControlParts;
  readonly writer?: ControlOptions['writer'];
}

/** Starts one; it ends with the test. */
export const startControlRig = async ({ parts = {}, ...given }: RigOptions = {}): Promise<ControlRig> => {
  const dataDir = given.dataDir ?? scratchDir('ctl');
  const reports: RecordedReport[] = [];
  const logged: { level: string; message: string }[] = [];
  const endpoint = createControlEndpoint({
    runnerId: 'builder-1-buffer',
    agent: 'builder-1',
    writer: {
      write: async ({ turnId }, name, payload, options) => {
        reports.push({ turnId, name, payload, id: options?.id });
        return reports.length;
      },
    },
    clock: systemClock,
    ids: systemIds,
    logger: loggerInto(logged),
    newSecret,
    stopGateLimit: 3,
    hasTools: () => true,
    needsLoopback: true,
    isConnected: () => true,
    ...given,
    dataDir,
    parts,
  });
  await endpoint.start();
  onTestFinished(() => endpoint.stop());
  const probe = (): { address: string; loopback: string } => {
    const scope = newScope();
    const access = endpoint.open(scope, 'exec', 'probe');
    endpoint.revoke(scope.turnId);
    return { address: access?.address ?? '', loopback: access?.loopback ?? '' };
  };
  return {
    endpoint,
    dataDir,
    reports,
    logged,
    turn: (provider = 'claude', prompt = 'the prompt', before = newScope()) => {
      const scope = { ...newScope(), sessionId: before.sessionId };
      const access = endpoint.open(scope, provider, prompt);
      if (access === undefined) throw new Error('the endpoint is closed');
      return { scope, token: access.token };
    },
    address: () => probe().address,
    loopback: () => probe().loopback,
    ask: (path, token, body) =>
      askLocally(
        {
          address: probe().address,
          method: body === undefined ? 'GET' : 'POST',
          path,
          ...(token !== undefined && { token }),
          ...(body !== undefined && { body }),
          withinMs: 10_000,
        },
        systemClock,
      ),
  };
};

/** A mailbox that takes everything but mail to `nobody`. */
export const mail: MailPart = {
  send: async (_turn, { messageId, to }) =>
    to === 'nobody'
      ? { kind: 'refused', code: 'RECIPIENT_UNKNOWN', message: 'there is no nobody; did you mean anna?' }
      : { kind: 'ok', result: { messageId, state: 'sent' } },
  reply: async (_turn, { messageId }) => ({ kind: 'ok', result: { messageId, state: 'queued' } }),
  owedIn: () => [],
  inbox: (limit) => [
    {
      messageId: 'msg_01JZ8Q4V6N3M7R5T9W2X4Y6Z8B',
      threadId: 'msg_01JZ8Q4V6N3M7R5T9W2X4Y6Z8B',
      from: 'user',
      kind: 'mail',
      subject: null,
      body: `at most ${limit}`,
      needsReply: true,
      replyTo: null,
      sentAt: 1,
      state: 'unread',
    },
  ],
};

/** The info file's path. */
export const infoPath = (dataDir: string): string => join(dataDir, 'control.json');
