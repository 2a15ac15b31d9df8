import { describe, expect, it } from 'vitest';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import { combinableAggregate, combineAggregate } from '../../../src/planner/aggregates/index.js';

const FLOAT8 = 701;
const MONEY = 790;

describe('partial results', () => {
  it('of count add up, and are 0 where there is none', () => {
    expect(combineAggregate('count', ['t.p1'], [TypeOid.int8])).toBe(
      'coalesce(pg_catalog.sum(t.p1), 0)::pg_catalog.int8',
    );
  });

  it('of sum keep the type that sum has: int8 sums are those of smaller integers', () => {
    expect(combineAggregate('sum', ['p'], [TypeOid.int8])).toBe(
      'pg_catalog.sum(p)::pg_catalog.int8',
    );
    for (const type of [TypeOid.numeric, FLOAT8, TypeOid.float4, MONEY, TypeOid.interval]) {
      expect(combineAggregate('sum', ['p'], [type])).toBe('pg_catalog.sum(p)');
    }
  });

  it('of avg are divided in the type that avg has', () => {
    const types = (sum: number): number[] => [sum, TypeOid.int8];
    const numeric = 'pg_catalog.sum(s) / nullif(pg_catalog.sum(n), 0)';
    expect(combineAggregate('avg', ['s', 'n'], types(TypeOid.int8))).toBe(numeric);
    expect(combineAggregate('avg', ['s', 'n'], types(TypeOid.numeric))).toBe(numeric);
    for (const type of [FLOAT8, TypeOid.interval]) {
      expect(combineAggregate('avg', ['s', 'n'], types(type))).toBe(
        `${numeric}::pg_catalog.float8`,
      );
    }
  });

  it('of avg over float4 do not combine: their sums have lost digits', () => {
    expect(combineAggregate('avg', ['s', 'n'], [TypeOid.float4, TypeOid.int8])).toBeNull();
  });

  it('of the others combine by the same aggregate', () => {
    const names = ['min', 'max', 'bool_and', 'bool_or', 'every', 'bit_and', 'bit_or', 'bit_xor'];
    for (const name of [...names, 'any_value']) {
      expect(combineAggregate(name, ['p'], [TypeOid.int4])).toBe(`pg_catalog.${name}(p)`);
    }
  });

  it('do not exist of aggregates that need all rows', () => {
    for (const name of ['array_agg', 'string_agg', 'stddev', 'mode', 'toString']) {
      expect(combinableAggregate(name)).toBeNull();
      expect(combineAggregate(name, ['p'], [TypeOid.int4])).toBeNull();
    }
  });

  it('are computed with FILTER, by the built-in aggregate of that name', () => {
    const filter = { A_Const: { boolval: { boolval: true } } };
    const call = { funcname: [{ String: { sval: 'avg' } }], agg_filter: filter };
    const builtin = (name: string) => [
      { String: { sval: 'pg_catalog' } },
      { String: { sval: name } },
    ];
    expect(combinableAggregate('avg')!.partials(call)).toEqual([
      { funcname: builtin('sum'), agg_filter: filter },
      { funcname: builtin('count'), agg_filter: filter },
    ]);
  });
});
