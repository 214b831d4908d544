// Subjects: what is built, what is read back, and what is refused. Round trips over random parts are in test/property.
import { Fault } from '#libs/kernel/fault.ts';
import {
  agentRequestFilter,
  agentRequestSubject,
  aggregateFilter,
  aggregateSubject,
  parseRequestSubject,
  parseSubject,
  partitionOf,
  requestFilter,
  requestSubject,
  timerSubject,
  typedFilter,
  typedSubject,
} from '#streams/subjects.ts';
import { describe, expect, test } from 'vitest';

const here = { tenant: 'acme', project: 'web' };
const run = 'run_01KAJ5M8E0R3YV1D6C2T9ZQ4XB';

const BAD_TOKENS: Readonly<Record<string, string>> = {
  'an empty token': '',
  'a dot': 'a.b',
  'a star': '*',
  'a tail wildcard': '>',
  'a wildcard inside': 'a*',
  'a space': 'a b',
  'a line break': 'a\n',
  'a letter outside ASCII': 'bücher',
  'an emoji': '🚀',
  'a dollar': '$SYS',
  'a leading hyphen': '-a',
  'more than 100 characters': 'a'.repeat(101),
};

const fault = (action: () => unknown): Fault => {
  try {
    action();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  return expect.unreachable('nothing was thrown');
};

describe('building', () => {
  test('an aggregate has one literal subject that ends with its id', () => {
    expect(aggregateSubject(here, 'run', run)).toBe(`fleet.acme.web.run.${partitionOf(run)}.${run}`);
  });

  test('a typed subject ends with its type', () => {
    expect(typedSubject(here, 'evt', 'builder-1', 'text')).toBe('fleet.acme.web.evt.2.builder-1.text');
  });

  test('a timer is set and rings on two subjects', () => {
    const timer = { owner: 'runs', id: 'lease-1' };
    expect(timerSubject(here, 'set', timer)).toBe('fleet.acme.web.timer.set.runs.lease-1');
    expect(timerSubject(here, 'fire', timer)).toBe('fleet.acme.web.timer.fire.runs.lease-1');
  });

  test('a request lies outside every stream', () => {
    expect(requestSubject(here, 'runs', 'create')).toBe('fleet-api.acme.web.runs.create');
    expect(requestFilter('runs', 'create')).toBe('fleet-api.*.*.runs.create');
  });

  test('a request of a runner ends with its agent', () => {
    expect(agentRequestSubject({ ...here, agent: 'builder-1' }, 'runs', 'claim')).toBe(
      'fleet-api.acme.web.runs.claim.builder-1',
    );
    expect(agentRequestFilter('runs', 'claim')).toBe('fleet-api.*.*.runs.claim.*');
  });

  test('a filter with an id names its partition, one without has wildcards', () => {
    expect(aggregateFilter('run')).toBe('fleet.*.*.run.*.*');
    expect(aggregateFilter('run', { ...here, id: run })).toBe(aggregateSubject(here, 'run', run));
    expect(typedFilter('evt', { type: 'text' })).toBe('fleet.*.*.evt.*.*.text');
    expect(typedFilter('evt', { tenant: 'acme', id: 'builder-1' })).toBe('fleet.acme.*.evt.2.builder-1.*');
  });

  for (const [what, bad] of Object.entries(BAD_TOKENS))
    test(`${what} is refused in every place`, () => {
      const attempts: (() => unknown)[] = [
        () => aggregateSubject({ ...here, tenant: bad }, 'run', run),
        () => aggregateSubject({ ...here, project: bad }, 'run', run),
        () => aggregateSubject(here, 'run', bad),
        () => typedSubject(here, 'evt', bad, 'text'),
        () => typedSubject(here, 'evt', 'builder-1', bad),
        () => timerSubject(here, 'set', { owner: bad, id: 'a' }),
        () => timerSubject(here, 'set', { owner: 'runs', id: bad }),
        () => requestSubject(here, bad, 'claim'),
        () => requestSubject(here, 'runs', bad),
        () => agentRequestSubject({ ...here, agent: bad }, 'runs', 'claim'),
        () => aggregateFilter('run', { tenant: bad }),
        () => typedFilter('evt', { id: bad }),
        () => typedFilter('evt', { type: bad }),
      ];
      for (const attempt of attempts)
        expect(fault(attempt)).toMatchObject({ code: 'SUBJECT_INVALID', retry: 'never' });
    });

  test('a refusal names the token and shows what was given, cut short', () => {
    const refused = fault(() => aggregateSubject({ ...here, tenant: 'x'.repeat(5000) }, 'run', run));
    expect(refused.message).toMatch(/^tenant "x+" cannot be a subject token/);
    expect(refused.message.length).toBeLessThan(300);
    expect(refused.detail).toEqual({ token: 'tenant' });
  });
});

describe('parsing', () => {
  test('every shape comes back in parts', () => {
    expect(parseSubject(aggregateSubject(here, 'run', run))).toEqual({
      ...here,
      kind: 'aggregate',
      family: 'run',
      partition: partitionOf(run),
      id: run,
    });
    expect(parseSubject('fleet.acme.web.evt.2.builder-1.text')).toEqual({
      ...here,
      kind: 'typed',
      family: 'evt',
      partition: 2,
      id: 'builder-1',
      type: 'text',
    });
    expect(parseSubject('fleet.acme.web.timer.fire.runs.lease-1')).toEqual({
      ...here,
      kind: 'timer',
      phase: 'fire',
      owner: 'runs',
      id: 'lease-1',
    });
    expect(parseRequestSubject('fleet-api.acme.web.runs.create')).toEqual({
      ...here,
      service: 'runs',
      operation: 'create',
    });
    expect(parseRequestSubject('fleet-api.acme.web.runs.claim.builder-1')).toEqual({
      ...here,
      service: 'runs',
      operation: 'claim',
      agent: 'builder-1',
    });
  });

  const FOREIGN: Readonly<Record<string, string>> = {
    'another root': 'float.acme.web.evt.2.builder-1.text',
    'a wrong partition': 'fleet.acme.web.evt.3.builder-1.text',
    'a partition with a leading zero': 'fleet.acme.web.evt.02.builder-1.text',
    'an unknown family': 'fleet.acme.web.zzz.2.builder-1.text',
    'an aggregate with a type': 'fleet.acme.web.run.2.builder-1.text',
    'a report without a type': 'fleet.acme.web.evt.2.builder-1',
    'too many tokens': 'fleet.acme.web.evt.2.builder-1.text.more',
    'too few tokens': 'fleet.acme.web.run',
    'an empty token': 'fleet..web.evt.2.builder-1.text',
    'a wildcard': 'fleet.acme.web.evt.*.builder-1.text',
    'an unknown phase of a timer': 'fleet.acme.web.timer.ring.runs.lease-1',
    'a timer without an id': 'fleet.acme.web.timer.set.runs',
    'nothing at all': '',
  };
  for (const [what, subject] of Object.entries(FOREIGN))
    test(`${what} is not one of ours`, () => expect(parseSubject(subject)).toBeUndefined());

  test('a request subject of another shape is not one of ours', () => {
    for (const subject of [
      'fleet-api.acme.web.runs',
      'fleet.acme.web.runs.claim',
      'fleet-api.a.*.runs.claim',
      'fleet-api.acme.web.runs.claim.',
      'fleet-api.acme.web.runs.claim.*',
      'fleet-api.acme.web.runs.claim.builder-1.more',
      '',
    ])
      expect(parseRequestSubject(subject)).toBeUndefined();
  });
});
