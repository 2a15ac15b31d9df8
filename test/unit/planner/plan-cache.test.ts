import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PlanCache } from '../../../src/planner/plan-cache.js';

it('gives back what was put in', () => {
  const cache = new PlanCache<number>(1000);
  cache.set('a', 1, 10);
  expect(cache.get('a')).toBe(1);
  expect(cache.get('b')).toBeUndefined();
});

it('forgets what was not asked for while it filled up, and keeps what was', () => {
  const cache = new PlanCache<number>(200);
  cache.set('used', 1, 10);
  cache.set('unused', 2, 10);
  for (let i = 0; i < 100; i++) {
    cache.set(`other ${i}`, i, 10);
    expect(cache.get('used')).toBe(1);
  }
  expect(cache.get('unused')).toBeUndefined();
  expect(cache.evictions).toBeGreaterThan(50);
});

it('keeps an entry that is larger than all its room until the next one comes', () => {
  const cache = new PlanCache<number>(100);
  cache.set('large', 1, 5000);
  expect(cache.get('large')).toBe(1);
  cache.set('a', 2, 10);
  cache.set('b', 3, 60);
  expect(cache.get('large')).toBeUndefined();
});

it('stays within its bytes, whatever comes', () => {
  const operation = fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 1, max: 100 }));
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 500 }), (operations) => {
      const cache = new PlanCache<number>(1000);
      for (const [key, bytes] of operations) {
        if (cache.get(String(key)) === undefined) cache.set(String(key), key, bytes);
        expect(cache.bytes).toBeLessThanOrEqual(1000 + 100);
        expect(cache.get(String(key))).toBe(key);
      }
    }),
  );
});

it('is empty after clear', () => {
  const cache = new PlanCache<number>(1000);
  cache.set('a', 1, 10);
  cache.clear();
  expect(cache.get('a')).toBeUndefined();
  expect(cache).toMatchObject({ entries: 0, bytes: 0 });
});
