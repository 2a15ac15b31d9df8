import { expect, test } from 'vitest';
import { RouteKind } from '../../../src/metrics/metrics.js';
import { ShapeUsages, shapeText } from '../../../src/metrics/shape-usage.js';

test('a shape is one, whoever asks for it', () => {
  const usages = new ShapeUsages();
  const usage = usages.of('SELECT \x01');
  usage.count(RouteKind.oneShard, 1);
  usages.of('SELECT \x01').count(RouteKind.scatter, 4);
  usage.took(30);
  usage.took(10);
  expect([...usages.all()]).toEqual([usage]);
  expect(usage).toMatchObject({ calls: 2, shards: 5, timed: 2, micros: 40, microsMax: 30 });
  expect(usage.routes).toEqual(['one_shard', 'scatter']);
});

test('people read literals as question marks, and no comments', () => {
  const shape = Buffer.from('\x10 SELECT  é,\n \x05 \x10FROM t WHERE a IN (\x01, \x12)').toString(
    'latin1',
  );
  expect(shapeText({ shape })).toBe('SELECT é, ? FROM t WHERE a IN (?, ?)');
});

test('of more shapes than there is room for, those in use stay', () => {
  const usages = new ShapeUsages();
  const used = usages.of('in use');
  for (let i = 0; i < 20_000; i++) {
    used.count(RouteKind.any, 1);
    usages.of(`ad hoc ${i}`).count(RouteKind.any, 1);
  }
  const all = [...usages.all()];
  expect(all.length).toBeLessThanOrEqual(5000);
  expect(all).toContain(used);
});

test('a long shape is kept by its beginning', () => {
  const usages = new ShapeUsages();
  const long = usages.of(`SELECT ${'x'.repeat(5000)}`);
  expect(long.shape.length).toBeLessThan(1100);
  expect(usages.of(`SELECT ${'x'.repeat(5000)}`)).toBe(long);
  expect(usages.of(`SELECT ${'x'.repeat(5001)}`)).not.toBe(long);
});
