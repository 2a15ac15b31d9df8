import { describe, expect, test } from 'vitest';
import { HeavyHitters } from '../../../src/metrics/heavy-hitters.js';
import { Dice } from '../../support/chaos-random.js';

describe('heavy hitters', () => {
  test('counts of a few keys are exact', () => {
    const keys = new HeavyHitters(4);
    for (const key of ['a', 'b', 'a', 'c', 'a']) keys.add(key, key === 'b' ? 's1' : 's0');
    expect([...keys.all()]).toEqual([
      { key: 'a', count: 3, error: 0, shards: 's0' },
      { key: 'b', count: 1, error: 0, shards: 's1' },
      { key: 'c', count: 1, error: 0, shards: 's0' },
    ]);
    expect(keys.seen).toBe(5);
  });

  test('tell the shards that a key led to last', () => {
    const keys = new HeavyHitters(4);
    keys.add('a', 's0');
    keys.add('a', 's0 s1');
    expect([...keys.all()]).toMatchObject([{ key: 'a', shards: 's0 s1' }]);
  });

  test('memory is bounded, and counts are never too low or off by more than their error', () => {
    const dice = new Dice(5);
    const keys = new HeavyHitters(16);
    const exact = new Map<string, number>();
    for (let i = 0; i < 8000; i++) {
      const key = String(dice.below(dice.chance(0.5) ? 10 : 1000));
      exact.set(key, (exact.get(key) ?? 0) + 1);
      keys.add(key, '');
    }
    const all = [...keys.all()];
    expect(all).toHaveLength(16);
    for (const { key, count, error } of all) {
      expect(count).toBeGreaterThanOrEqual(exact.get(key)!);
      expect(count - error).toBeLessThanOrEqual(exact.get(key)!);
    }
    // Whatever is more than a sixteenth of all is among them.
    const often = [...exact].filter(([, count]) => count > 8000 / 16);
    for (const [key] of often) expect(all.map((each) => each.key)).toContain(key);
  });

  test('of a skewed stream the heaviest are found', () => {
    const dice = new Dice(6);
    const keys = new HeavyHitters(64);
    for (let i = 0; i < 50_000; i++) {
      const hot = dice.chance(0.3) ? 'first' : dice.chance(0.2) ? 'second' : null;
      keys.add(hot ?? `other ${dice.below(100_000)}`, '');
    }
    const [first, second, third] = [...keys.all()].sort((a, b) => b.count - a.count);
    expect([first!.key, second!.key]).toEqual(['first', 'second']);
    expect((first!.count - first!.error) / keys.seen).toBeCloseTo(0.3, 1);
    expect((second!.count - second!.error) / keys.seen).toBeCloseTo(0.14, 1);
    expect((third!.count - third!.error) / keys.seen).toBeLessThan(0.01);
  });

  test('what was hot once fades', () => {
    const keys = new HeavyHitters(8);
    for (let i = 0; i < 20_000; i++) keys.add('old', '');
    for (let i = 0; i < 20_000; i++) keys.add('new', '');
    const [now] = [...keys.all()].sort((a, b) => b.count - a.count);
    expect(now).toMatchObject({ key: 'new' });
    expect(now!.count / keys.seen).toBeGreaterThan(0.75);
  });
});
