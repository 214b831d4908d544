// What the hosts service answers (streams/host-requests.ts): hosts announce themselves, people and services drain, update and retire them.
// Every request may be repeated: what is so already is not appended again.
import type { z } from 'zod';
import { handleOnSight } from '#libs/commands/handle-on-sight.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import type { ServedRequest } from '#libs/service/define-service.ts';
import { ok, refused, type Answer } from '#libs/service/request-answer.ts';
import { serveRequest } from '#libs/service/serve-request.ts';
import { CONTRACT_VERSION } from '#streams/contract-version.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import {
  HOST_REQUESTS,
  type HostOperation,
  type HostRequestOf,
  type HostResultOf,
} from '#streams/host-requests.ts';
import { hostPresenceKey, hostPresenceSchema, type HostPresence } from '#streams/host-views.ts';
import type { HostCommand } from '#streams/host.ts';
import {
  agentRequestFilter,
  askingAgentOf,
  controlPlaneOf,
  requestFilter,
  type AgentPlace,
  type Boundary,
} from '#streams/subjects.ts';
import type { HostLog } from './host-log.ts';
import { factsOf, type Host } from './host-state.policy.ts';

interface Parts {
  readonly hostLog: HostLog;
  readonly presence: KeyValue;
  readonly redactor: Redactor;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Of the product, as hosts are told it. */
  readonly version: string;
}

/** The broker counts whole seconds. */
const ttlOf = (ttlMs: number): number => Math.ceil(ttlMs / 1000) * 1000;

/** A first announcement has two things to say: what the host is, and that it is there. */
const MOST_WORDS = 4;

const isOtherAlive = async (presence: KeyValue, place: AgentPlace, journalId: string): Promise<boolean> => {
  const entry = await presence.get(hostPresenceKey(place, place.agent));
  const parsed = hostPresenceSchema.safeParse(entry === undefined ? undefined : parseJson(entry.value));
  return parsed.success && parsed.data.journalId !== journalId;
};

const announce =
  ({ hostLog, presence, clock, ids, version }: Parts) =>
  async (
    place: AgentPlace,
    { ttlMs: asked, ...word }: HostRequestOf<'announce'>,
  ): Promise<Answer<HostResultOf<'announce'>>> => {
    const { agent: host, ...boundary } = place;
    const { journalId, bootId } = word;
    const target = { boundary, host, actor: `host:${host}` };
    // For the host as it is on record: another machine may take the name between the look and the word, and is alive by that.
    const look = async (): Promise<HostCommand> => ({
      kind: 'announce',
      host,
      journalId,
      bootId,
      facts: factsOf(word),
      isOtherAlive: await isOtherAlive(presence, place, journalId),
    });
    for (let round = 0; round < MOST_WORDS; round += 1) {
      // What is so already is not appended again, so an id of its own for each word is enough, and spares a look at the log.
      const options = { id: `${host}.announce.${ids.ulid()}` };
      const outcome = await handleOnSight(hostLog, { target, options, look, mayBeOld: true });
      if (outcome === undefined) break;
      if (outcome.kind === 'rejected') return refused(outcome.rejection);
      if (outcome.kind !== 'unchanged') continue;
      const ttlMs = ttlOf(asked);
      const value: HostPresence = { host, ...word, seenAt: clock.now() };
      await presence.put(hostPresenceKey(place, host), jsonBytes(value), { ttlMs });
      const isDraining = outcome.state?.isDraining ?? false;
      return ok({ ttlMs, isDraining, version, contract: CONTRACT_VERSION });
    }
    throw new InvariantBroken(`the announcement of host ${host} does not come to an end`);
  };

const stateNameOf = ({ isRetired, bootId, isDraining }: Host): HostResultOf<'drain'>['state'] => {
  if (isRetired) return 'retired';
  if (bootId === null) return 'offline';
  return isDraining ? 'draining' : 'online';
};

type Moving = Exclude<HostOperation, 'announce'>;
type MovingCommand = Extract<HostCommand, { readonly kind: Moving }>;

/** What a person asks for; texts are redacted before anything is decided. */
const move =
  <Op extends Moving>(
    { hostLog, redactor }: Parts,
    commandOf: (request: HostRequestOf<Op>) => MovingCommand,
  ) =>
  async (boundary: Boundary, asked: HostRequestOf<Op>): Promise<Answer<HostResultOf<Op>>> => {
    const request = redactor.value(asked).value as HostRequestOf<Op>;
    const { host, actor } = request;
    const target = { boundary, host, actor };
    const { seq: before } = await hostLog.load(target);
    const command = commandOf(request);
    const outcome = await hostLog.handle(target, command, { id: `${host}.${command.kind}.${before}` });
    if (outcome.kind === 'rejected') return refused(outcome.rejection);
    const { state, seq } = await hostLog.load(target);
    if (state === undefined) throw new InvariantBroken(`host ${host} has no history`);
    const repeated = outcome.kind === 'unchanged' || outcome.repeated;
    return ok({ host, seq, state: stateNameOf(state), repeated } as HostResultOf<Op>);
  };

const schemaOf = <Op extends HostOperation>(operation: Op): z.ZodType<HostRequestOf<Op>> =>
  HOST_REQUESTS[operation].request as unknown as z.ZodType<HostRequestOf<Op>>;

/** All operations of the service. */
export const hostRequests = (parts: Parts): readonly ServedRequest[] => {
  const moving = <Op extends Moving>(
    operation: Op,
    commandOf: (request: HostRequestOf<Op>) => MovingCommand,
  ): ServedRequest =>
    serveRequest({
      subject: requestFilter('hosts', operation),
      askerOf: controlPlaneOf,
      schema: schemaOf(operation),
      handle: move<Op>(parts, commandOf),
    });
  return [
    serveRequest({
      subject: agentRequestFilter('hosts', 'announce'),
      askerOf: askingAgentOf,
      schema: schemaOf('announce'),
      handle: announce(parts),
    }),
    moving('drain', ({ host, reason }) => ({ kind: 'drain', host, reason })),
    moving('undrain', ({ host }) => ({ kind: 'undrain', host })),
    moving('update', ({ host, version, reason }) => ({ kind: 'update', host, version, reason })),
    moving('retire', ({ host, reason }) => ({ kind: 'retire', host, reason })),
  ];
};
