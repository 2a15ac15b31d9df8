import { expect, test } from 'vitest';
import { typeSql } from '../../../src/planner/type-names.js';
import { shopCatalog } from './shop.js';

test('types are named with their schemas; rows of no type have no name that text can be cast to', () => {
  const types = new Map([
    ['int4', 23],
    ['record', 2249],
    ['_record', 2287],
    ['sales.Mood', 16500],
  ]);
  const catalog = { ...shopCatalog(), types };
  const names = [23, 16500, 2249, 2287, 99].map((type) => typeSql(type, catalog));
  expect(names).toEqual(['pg_catalog.int4', 'sales."Mood"', null, null, null]);
});
