// Says now and then, and at once when something has changed, that this host is alive and what it runs. The answer says whether it is
// drained, and what the control plane is. Losing a word is harmless; being refused is shown, and said again.
import type { ServiceContext } from '#libs/service/context.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { WireAnswer } from '#libs/service/request-answer.ts';
import { HOST_REQUESTS, type HostResultOf } from '#streams/host-requests.ts';
import type { HostWord } from '#streams/host-views.ts';
import { agentRequestSubject } from '#streams/subjects.ts';
import type { HostConfig } from './host-config.ts';
import type { HostProcess } from './host-process.ts';
import { readMachine } from './machine.ts';
import { boundLog, runnerFolder } from './runner-folder.ts';

type Context = ServiceContext<HostConfig>;
type Said = WireAnswer<HostResultOf<'announce'>>;

/** A host counts as gone after this many words were missed. */
const MISSED = 3;
const TIMEOUT_MS = 5000;

const wordOf = ({ config }: Context, host: HostProcess): HostWord => ({
  bootId: host.bootId,
  journalId: host.outbox.bufferId,
  ...host.facts,
  ...readMachine(config.dataDir),
  hasCgroups: host.cgroups.problem === undefined,
  buffered: host.outbox.status().pending,
  runners: [...host.supervisor.shown()],
  startedAt: host.startedAt,
});

const say = async (context: Context, host: HostProcess): Promise<Said | undefined> => {
  const { config, requests } = context;
  const place = { ...host.boundary, agent: config.name };
  try {
    return await askRequest<HostResultOf<'announce'>>(requests.client, {
      subject: agentRequestSubject(place, 'hosts', 'announce'),
      request: { ...wordOf(context, host), ttlMs: config.announceMs * MISSED },
      answer: HOST_REQUESTS.announce.answer,
      timeoutMs: TIMEOUT_MS,
    });
  } catch (error) {
    if (error instanceof InvariantBroken) throw error;
    context.logger.debug('nobody hears this host', { error: toFault(error).message });
    return undefined;
  }
};

const boundLogs = ({ config }: Context, { supervisor }: HostProcess): void => {
  for (const { agent } of supervisor.shown()) boundLog(runnerFolder(config.dataDir, agent));
};

/** Until the signal aborts. */
export const announceHost = async (
  context: Context,
  host: HostProcess,
  signal: AbortSignal,
): Promise<void> => {
  const { clock, config, logger, checks } = context;
  const { telling } = host;
  let refusal: string | undefined;
  checks.add('registered', () => ({ ok: refusal === undefined, detail: refusal ?? 'heard' }));
  const hear = async (): Promise<void> => {
    const answer = await say(context, host);
    const before = refusal;
    if (answer?.outcome === 'ok') {
      refusal = undefined;
      await host.draining.set(answer.result.isDraining);
      if (host.outbox.status().unreachableFailures > 0) host.outbox.nudge();
    } else if (answer?.outcome === 'refused') refusal = `${answer.code}: ${answer.message}`;
    if (refusal !== undefined && refusal !== before)
      logger.error('the control plane does not take this host', { refusal });
  };
  try {
    while (!signal.aborted) {
      const answered = telling.begin();
      await hear().finally(answered);
      boundLogs(context, host);
      const slept = new AbortController();
      await Promise.race([
        clock.sleep(config.announceMs, AbortSignal.any([signal, slept.signal])),
        telling.wanted,
      ]);
      slept.abort();
    }
  } finally {
    telling.end();
  }
};
