// Bytes on the wire: headers, acknowledgement subjects, order per subject, and what the broker's answers mean.
import { AppendLanes } from '#libs/nats/append-lanes.ts';
import { actualSequence, classifyAnswer } from '#libs/nats/errors.ts';
import { StreamIdentity } from '#libs/nats/stream-identity.ts';
import {
  headerBlock,
  headerLine,
  headerLines,
  parseHeaderBlock,
  parseReaderHeaders,
} from '#libs/nats/wire-headers.ts';
import { deliveryFacts } from '#libs/nats/raw-message.ts';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { propertyRuns } from '#test/support/seeds.ts';

const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,20}$/).filter((text) => !text.startsWith('Nats-'));
const value = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((text) => !/[\r\n]/.test(text));

describe('headers', () => {
  it('come back as they were written, whatever they say', () => {
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 8, noNullPrototype: true }), (headers) => {
        const { status, headers: parsed } = parseHeaderBlock(headerBlock(headerLines(headers)));
        expect(status).toBe(0);
        expect(parsed).toEqual(headers);
      }),
      propertyRuns(100),
    );
  });

  it('are not taken for others that look alike, nor for what an object has', () => {
    for (const names of [
      ['a-m-z', 'b-m-z', 'c-m-z'],
      ['c-m-z', 'a-m-z', 'Nats-Batch-', 'Fleet-Bat-h'],
      ['constructor', 'toString', 'a', 'b'],
    ])
      for (const each of names)
        expect(Object.entries(parseReaderHeaders(headerBlock(`${each}: 1\r\n`)))).toEqual(
          each === 'Nats-Batch-' ? [] : [[each, '1']],
        );
  });

  it('cannot be broken out of', () => {
    for (const bad of [
      { 'X-A': 'one\r\nNats-Rollup: all' },
      { 'X-A': 'one\nB: c' },
      { 'X A': 'b' },
      { 'X:A': 'b' },
      { '': 'b' },
    ])
      expect(() => headerLines(bad)).toThrow(expect.objectContaining({ code: 'LOG_REFUSED' }));
  });

  it('leave out what the transport sets itself, on both ways', () => {
    const lines = headerLines({
      'Nats-Msg-Id': 'forged',
      'Nats-Expected-Last-Sequence': '7',
      'Nats-TTL': '1s',
      kept: 'yes',
    });
    expect(lines).toBe('Nats-TTL: 1s\r\nkept: yes\r\n');
    const stored = `${headerLine('Nats-Msg-Id', 'own')}${headerLine('Nats-Batch-Id', 'b')}${headerLine('Nats-Expected-Last-Subject-Sequence', 3)}kept: yes\r\n`;
    expect(parseReaderHeaders(headerBlock(stored))).toEqual({
      'Nats-Msg-Id': 'own',
      kept: 'yes',
    });
  });

  it('show the status of the broker', () => {
    const block = new TextEncoder().encode(
      'NATS/1.0 409 Message Size Exceeds MaxBytes\r\nNats-Pending-Messages: 3\r\n\r\n',
    );
    expect(parseHeaderBlock(block)).toEqual({
      status: 409,
      description: 'Message Size Exceeds MaxBytes',
      headers: { 'Nats-Pending-Messages': '3' },
    });
  });

  it('take the last of two lines with one name: the broker adds its own behind the writer’s', () => {
    const block = headerBlock('Nats-Sequence: 999\r\nNats-Sequence: 7\r\n');
    expect(parseHeaderBlock(block).headers).toEqual({ 'Nats-Sequence': '7' });
  });
});

describe('acknowledgement subjects', () => {
  const factsOf = (reply: string) => deliveryFacts({ reply } as never);
  const facts = {
    attempt: 2,
    streamSeq: 9_000_000_001,
    consumerSeq: 17,
    storedAt: 1_787_323_811_123,
    pending: 5,
  };

  it('are read in the short form', () => {
    expect(factsOf('$JS.ACK.LOG.workers.2.9000000001.17.1787323811123456789.5')).toEqual(facts);
  });

  it('are read in the long form, with domain and account', () => {
    expect(factsOf('$JS.ACK.hub.ABCDEF.LOG.workers.2.9000000001.17.1787323811123456789.5.rnd')).toEqual(
      facts,
    );
    expect(factsOf('$JS.ACK.hub.ABCDEF.LOG.workers.2.9000000001.17.1787323811123456789.5')).toEqual(facts);
  });

  it('are nothing else', () => {
    expect(factsOf('_INBOX.abc.1')).toBeUndefined();
    expect(factsOf('')).toBeUndefined();
  });
});

describe('answers of the broker', () => {
  it('are told apart by their code', () => {
    const kindOf = (err_code: number, code = 400): string => classifyAnswer({ code, err_code });
    expect(
      [10071, 10164, 10201, 10176, 10077, 10059, 10014, 10008, 10054].map((code) => kindOf(code)),
    ).toEqual([
      'conflict',
      'busy',
      'duplicate-in-batch',
      'batch-lost',
      'full',
      'stream-missing',
      'consumer-missing',
      'unavailable',
      'refused',
    ]);
    expect(kindOf(99_999, 503)).toBe('unavailable');
    expect(kindOf(99_999, 500)).toBe('refused');
  });

  it('name the actual sequence, or do not', () => {
    expect(actualSequence({ code: 400, description: 'wrong last sequence: 17' })).toBe(17);
    expect(actualSequence({ code: 400, description: 'wrong last sequence' })).toBeUndefined();
  });
});

describe('lanes', () => {
  it('start operations in the order of their entry on every subject, and others at once', () => {
    const operations = fc.array(
      fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 3 }),
      { maxLength: 20 },
    );
    const ends = fc.array(fc.nat(30), { maxLength: 60 });
    fc.assert(
      fc.property(operations, ends, (laneSets, picks) => {
        const lanes = new AppendLanes<{ id: number; lanes: readonly string[]; blockers: number }>();
        const running: { id: number; lanes: readonly string[]; blockers: number }[] = [];
        const started: number[] = [];
        const start = (operation: (typeof running)[number]): void => {
          for (const other of running)
            expect(other.lanes.some((lane) => operation.lanes.includes(lane))).toBe(false);
          running.push(operation);
          started.push(operation.id);
        };
        for (const [id, set] of laneSets.entries()) {
          const operation = { id, lanes: set, blockers: 0 };
          if (lanes.enter(operation)) start(operation);
        }
        for (const pick of [...picks, ...Array.from({ length: 20 }, () => 0)]) {
          const [ended] = running.splice(pick % Math.max(1, running.length), 1);
          if (ended !== undefined) lanes.leave(ended, start);
        }
        while (running.length > 0) {
          const ended = running.shift();
          if (ended !== undefined) lanes.leave(ended, start);
        }
        expect([...started].sort((a, b) => a - b)).toEqual(laneSets.map((_, id) => id));
        for (const lane of ['a', 'b', 'c', 'd']) {
          const order = started.filter((id) => laneSets[id]?.some((one) => one === lane));
          expect(order).toEqual([...order].sort((a, b) => a - b));
        }
      }),
      propertyRuns(100),
    );
  });
});

describe('the identity of a stream', () => {
  it('is doubted at once when it was created at another time, and only after many looks when it seems shorter', () => {
    const identity = new StreamIdentity();
    expect(identity.check({ created: 'monday', lastSeq: 10 }, 0)).toBe('same');
    expect(identity.check({ created: 'monday', lastSeq: 8 }, 10)).toBe('unclear');
    expect(identity.check({ created: 'monday', lastSeq: 10 }, 10)).toBe('same');
    let verdict = 'unclear';
    let looks = 0;
    for (; verdict === 'unclear'; looks += 1) verdict = identity.check({ created: 'monday', lastSeq: 8 }, 10);
    expect(verdict).toBe('replaced');
    expect(looks).toBeGreaterThan(10);
    expect(identity.check({ created: 'tuesday', lastSeq: 99 }, 10)).toBe('replaced');
  });
});
