// The rules of a host, and its summary: what an announcement appends, one process of a name, drain, update and retire.
import { array, assert, constantFrom, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hostDecider } from '#services/hosts/host.decider.ts';
import { foldHost, type HostSummary } from '#services/hosts/host.view.ts';
import { EXAMPLE_HOST as host, HOST_EXAMPLES, HOST_VIEW_EXAMPLE } from '#streams/generate-host-examples.ts';
import { hostViewSchema } from '#streams/host-views.ts';
import type { HostCommand, HostEvent } from '#streams/host.ts';
import { given } from '#test/support/given.ts';

const registered = HOST_EXAMPLES['fleetlog.host.registered.v1'];
const online = HOST_EXAMPLES['fleetlog.host.online.v1'];
const offline = HOST_EXAMPLES['fleetlog.host.offline.v1'];
const drained = HOST_EXAMPLES['fleetlog.host.drain-requested.v1'];
const retired = HOST_EXAMPLES['fleetlog.host.retired.v1'];
const { type: _type, host: _host, journalId, registeredAt: _at, ...facts } = registered;
const announce: Extract<HostCommand, { readonly kind: 'announce' }> = {
  kind: 'announce',
  host,
  journalId,
  bootId: online.bootId,
  facts,
  isOtherAlive: false,
};
const now = 2_000_000;

describe('an announcement', () => {
  test('IM-33 registers a host, then takes it online, then says nothing more', () => {
    given(hostDecider)
      .when(announce, { now })
      .then({ ...registered, registeredAt: now });
    given(hostDecider, registered)
      .when(announce, { now })
      .then({ ...online, onlineAt: now });
    given(hostDecider, registered, online).when(announce).thenUnchanged();
  });

  test('of other facts is on record once', () => {
    const more = { ...announce, facts: { ...facts, version: '0.2.0' } };
    const state = given(hostDecider, registered, online)
      .when(more, { now })
      .then({ ...registered, version: '0.2.0', registeredAt: now });
    expect(hostDecider.decide(more, state, { now })).toEqual({ kind: 'unchanged' });
  });

  test('of another process takes the host online again, after a restart and after silence', () => {
    const other = { ...announce, bootId: 'other' };
    given(hostDecider, registered, online).when(other).thenLike({ type: online.type, bootId: 'other' });
    given(hostDecider, registered, online, offline).when(announce).thenLike({ type: online.type });
  });

  test('of a second machine with the name of a living one is refused; of a lost journal it is not', () => {
    const other = { ...announce, journalId: 'another' };
    given(hostDecider, registered, online)
      .when({ ...other, isOtherAlive: true })
      .thenRejected('HOST_ELSEWHERE');
    given(hostDecider, registered, online, offline).when(other).thenLike({ journalId: 'another' });
  });

  test('of a second machine just after another one took the name is refused, although nobody was seen alive yet', () => {
    const other = { ...announce, journalId: 'another' };
    const said = registered.registeredAt;
    given(hostDecider, registered)
      .when(other, { now: said + 100 })
      .thenRejected('HOST_ELSEWHERE');
    given(hostDecider, registered)
      .when(other, { now: said + 60_000 })
      .thenLike({ journalId: 'another' });
  });

  test('of a contract that is not understood any more, or of a retired host, is refused', () => {
    given(hostDecider)
      .when({ ...announce, facts: { ...facts, contract: 0 } })
      .thenRejected('CONTRACT_TOO_OLD');
    given(hostDecider, registered, retired).when(announce).thenRejected('HOST_RETIRED');
  });
});

describe('a host', () => {
  test('that is lost is offline once; news of an earlier process of it changes nothing', () => {
    const lose: HostCommand = { kind: 'lose', host, bootId: online.bootId, reason: offline.reason };
    given(hostDecider, registered, online)
      .when(lose, { now })
      .then({ ...offline, offlineAt: now });
    given(hostDecider, registered, online, offline).when(lose).thenUnchanged();
    // Its presence follows its word: it is not silent yet. A clock that was set back keeps nobody online.
    for (const [afterMs, isLost] of [
      [100, false],
      [-100, false],
      [60_000, true],
      [-60_000, true],
    ] as const) {
      const decided = given(hostDecider, registered, online).when(lose, { now: online.onlineAt + afterMs });
      if (isLost) decided.thenLike({ type: offline.type });
      else decided.thenUnchanged();
    }
    given(hostDecider, registered, online)
      .when({ ...lose, bootId: 'earlier' })
      .thenUnchanged();
  });

  test('is drained and undrained once each', () => {
    const drain: HostCommand = { kind: 'drain', host, reason: drained.reason };
    given(hostDecider, registered, online)
      .when(drain, { now })
      .then({ ...drained, requestedAt: now });
    given(hostDecider, registered, online, drained).when(drain).thenUnchanged();
    given(hostDecider, registered, drained)
      .when({ kind: 'undrain', host }, { now })
      .then({ type: 'fleetlog.host.drain-ended.v1', host, endedAt: now });
    given(hostDecider, registered).when({ kind: 'undrain', host }).thenUnchanged();
  });

  test('is retired when it is offline, not while its agents would go on unseen', () => {
    const retire: HostCommand = { kind: 'retire', host, reason: 'sold' };
    given(hostDecider, registered, online).when(retire).thenRejected('HOST_ONLINE');
    given(hostDecider, registered, online, offline)
      .when(retire, { now })
      .then({ type: 'fleetlog.host.retired.v1', host, reason: 'sold', retiredAt: now });
    given(hostDecider, registered, retired).when(retire).thenUnchanged();
  });

  test('that nobody knows cannot be asked for anything', () => {
    given(hostDecider).when({ kind: 'undrain', host }).thenRejected('HOST_UNKNOWN');
  });
});

const event = constantFrom<HostEvent>(...Object.values(HOST_EXAMPLES), {
  ...online,
  bootId: 'another boot',
});
const command = constantFrom<HostCommand>(
  announce,
  { ...announce, bootId: 'b2' },
  { ...announce, journalId: 'j2', isOtherAlive: true },
  { kind: 'lose', host, bootId: online.bootId, reason: 'x' },
  { kind: 'drain', host, reason: 'x' },
  { kind: 'undrain', host },
  { kind: 'update', host, version: null, reason: 'x' },
  { kind: 'retire', host, reason: 'x' },
);

test('laws: retired is final, a repeat of anything but an update changes nothing, and the summary agrees', () => {
  assert(
    property(array(event, { maxLength: 6 }), array(command, { maxLength: 20 }), (past, commands) => {
      const history: HostEvent[] = [];
      let state = hostDecider.initial;
      let view: HostSummary | undefined;
      const apply = (one: HostEvent): void => {
        history.push(one);
        state = hostDecider.evolve(state, one);
        view = foldHost(view, { boundary: { tenant: 'acme', project: 'web' }, event: one });
      };
      past.forEach(apply);
      for (const one of commands) {
        const wasRetired = state?.isRetired === true;
        const decision = hostDecider.decide(one, state, { now });
        if (decision.kind !== 'accepted') continue;
        expect(wasRetired).toBe(false);
        apply(decision.event);
        // A first announcement has two things to say.
        if (one.kind !== 'update' && one.kind !== 'announce')
          expect(hostDecider.decide(one, state, { now })).toEqual({ kind: 'unchanged' });
      }
      expect(view?.state === 'retired').toBe(state?.isRetired === true && view !== undefined);
      if (view === undefined || state === undefined) return;
      if (!state.isRetired) expect(view.bootId).toBe(state.bootId);
      expect(hostViewSchema.parse({ ...view, seq: 1 })).toEqual({ ...view, seq: 1 });
    }),
  );
});

test('the summary of the examples is what the contract shows', () => {
  const { seq: _seq, ...shown } = HOST_VIEW_EXAMPLE;
  const folded = [registered, online, drained].reduce<HostSummary | undefined>(
    (view, one) => foldHost(view, { boundary: { tenant: 'acme', project: 'web' }, event: one }),
    undefined,
  );
  expect(folded).toEqual(shown);
});
