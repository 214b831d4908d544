// A map that knows its least recently used key, compared with a plain one that is put in order by hand.
import { RecentMap } from '#libs/kernel/recent-map.ts';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';

const keys = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const calls = fc.oneof(
  fc.record({ call: fc.constant('set' as const), key: keys, value: fc.nat() }),
  fc.record({ call: fc.constantFrom('get', 'peek', 'delete', 'has'), key: keys }),
  fc.record({ call: fc.constant('drop-oldest' as const), key: keys }),
);

it('does what a map does, and names the key that was left alone for longest', () => {
  fc.assert(
    fc.property(fc.array(calls, { maxLength: 60 }), (all) => {
      const recent = new RecentMap<number>();
      const model = new Map<string, number>();
      const renew = (key: string, value: number | undefined): void => {
        if (value === undefined) return;
        model.delete(key);
        model.set(key, value);
      };
      for (const one of all) {
        const { call, key } = one;
        const value = model.get(key);
        if (call === 'set' && 'value' in one) {
          recent.set(key, one.value);
          renew(key, one.value);
        } else if (call === 'get') {
          expect(recent.get(key)).toBe(value);
          renew(key, value);
        } else if (call === 'peek') expect(recent.peek(key)).toBe(value);
        else if (call === 'has') expect(recent.has(key)).toBe(model.has(key));
        else if (call === 'delete') expect(recent.delete(key)).toBe(model.delete(key));
        else if (recent.oldest !== undefined) {
          model.delete(recent.oldest);
          recent.delete(recent.oldest);
        }
        expect(recent.oldest).toBe([...model.keys()][0]);
        expect(recent.size).toBe(model.size);
      }
    }),
    { numRuns: 500 },
  );
});
