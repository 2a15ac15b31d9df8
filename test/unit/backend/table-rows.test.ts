import { describe, expect, it } from 'vitest';
import { withTableRows } from '../../../src/backend/table-rows.js';
import type { Catalog } from '../../../src/keyspace/catalog.js';
import { relation, shopCatalog } from '../planner/shop.js';

const estimate = (catalog: Catalog, name: string) =>
  catalog.relations.get(`public.${name}`)?.estimatedRows;

function learn(rows: Record<string, number>, before: Catalog | null = null): Catalog {
  const total = new Map(Object.entries(rows).map(([name, count]) => [`public.${name}`, count]));
  return withTableRows(shopCatalog(), total, before);
}

describe('estimates of rows', () => {
  it('are powers of two, and null where no server knows', () => {
    const catalog = learn({ orders: 900, settings: 0 });
    expect(estimate(catalog, 'orders')).toBe(1024);
    expect(estimate(catalog, 'settings')).toBe(0);
    expect(estimate(catalog, 'visits')).toBeNull();
  });

  it('stay while a table has neither doubled nor halved', () => {
    const before = learn({ orders: 1000, visits: 1000, settings: 0 });
    const after = learn({ orders: 1900, visits: 2100, settings: 3 }, before);
    expect(estimate(after, 'orders')).toBe(1024);
    expect(estimate(after, 'visits')).toBe(2048);
    expect(estimate(after, 'settings')).toBe(4);
  });

  it('of a partitioned table are those of its partitions, at any depth', () => {
    const known = shopCatalog();
    const nested = relation('events_2026_1', ['customer_id int8'], {
      parent: 'public.events_2026',
    });
    const middle = { ...known.relations.get('public.events_2026')!, kind: 'p' };
    const relations = new Map([
      ...known.relations,
      ['public.events_2026', middle] as const,
      ['public.events_2026_1', nested] as const,
    ]);
    const total = new Map([['public.events_2026_1', 500]]);
    const catalog = withTableRows({ ...known, relations }, total, null);
    expect(estimate(catalog, 'events')).toBe(512);
  });
});
