import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Catalog } from '../../../src/keyspace/catalog.js';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import { Planner } from '../../../src/planner/planner.js';
import type { GatherSpec, MergeSpec, PlannedText, RoutePlan } from '../../../src/planner/plan.js';
import { Literals } from '../../../src/sql/literals.js';
import { Parser } from '../../../src/sql/parser.js';
import { shopCatalog, shopTopology } from './shop.js';

let parser: Parser;
let planner: Planner;

beforeAll(async () => {
  parser = await Parser.create();
});

afterAll(async () => {
  await parser.close();
});

beforeEach(() => {
  planner = new Planner(parser, shopTopology(), shopCatalog());
});

function plan(sql: string, paramTypes: readonly number[] = []): PlannedText {
  const bytes = new TextEncoder().encode(sql);
  const context = {
    searchPath: ['public'],
    searchPathKey: '',
    paramTypes,
    paramTypesKey: paramTypes.join(),
  };
  const planned = planner.plan(bytes, 0, bytes.length, context, new Literals());
  if (planned instanceof Promise) throw new Error('planned aside');
  return planned;
}

function route(sql: string, paramTypes: readonly number[] = []): RoutePlan {
  const { whole } = plan(sql, paramTypes);
  if (whole?.kind !== 'route') throw new Error(`${sql} is planned as ${whole?.kind}`);
  return whole;
}

function merge(sql: string, paramTypes: readonly number[] = []): MergeSpec {
  const { many } = route(sql, paramTypes);
  if (many.kind !== 'merge') throw new Error(`${sql} is not merged: ${many.kind}`);
  return many.merge;
}

function gather(sql: string): GatherSpec {
  const { many } = route(sql);
  if (many.kind !== 'gather') throw new Error(`${sql} is not gathered: ${many.kind}`);
  return many.gather;
}

/** The catalog with a collation for every column, and another one for those named. */
function collated(textByBytes: boolean, other: readonly string[] = []): Catalog {
  const catalog = shopCatalog({ textByBytes });
  const relations = [...catalog.relations].map(([name, relation]) => {
    const columns = relation.columns.map((column) => ({
      ...column,
      collation: other.includes(column.name) ? ('other' as const) : ('default' as const),
    }));
    return [name, { ...relation, columns }] as const;
  });
  return { ...catalog, relations: new Map(relations) };
}

describe('plans that hold SQL text', () => {
  it('serve texts with the same literals only', () => {
    const first = plan('select id from orders where total > 1 order by id limit 2');
    expect(plan('select id from orders where total > 1 order by id limit 2')).toBe(first);
    const other = plan('select id from orders where total > 3 order by id limit 2');
    expect(other).not.toBe(first);
    expect(merge('select id from orders where total > 3 order by id limit 4').sql).toMatch(
      /total > 3 .* LIMIT \(4\)$/,
    );
  });

  it('serve every value of a parameter', () => {
    const sql = 'select id from orders where total > $1 order by id limit $2';
    expect(plan(sql)).toBe(plan(sql));
    expect(merge(sql).limit).toEqual({ kind: 'param', index: 1 });
  });

  it('are not made where one key leads to one shard, so that its plan serves every value', () => {
    const first = plan('select id from orders where customer_id = 5 order by id limit 2');
    expect(plan('select id from orders where customer_id = 6 order by id limit 3')).toBe(first);
    const sums = plan('select sum(total) from orders where customer_id = 5 and total > 1');
    expect(plan('select sum(total) from orders where customer_id = 7 and total > 2')).toBe(sums);
  });
});

describe('a merge', () => {
  it('sends hidden sort keys behind the client’s columns', () => {
    const { sql, visibleColumns, keys } = merge(
      'select status as total from orders order by total, orders.total + 1 desc',
    );
    expect(visibleColumns).toBe(1);
    expect(sql).toMatch(
      /^SELECT status AS total, status AS sg_key_1, orders\.total \+ 1 AS sg_key_2/,
    );
    expect(keys).toMatchObject([
      { descending: false, nullsFirst: false },
      { descending: true, nullsFirst: true },
    ]);
  });

  it('asks shards for the rows that OFFSET skips too, however many they are', () => {
    const shardLimit = (cut: string, types: readonly number[] = []): string =>
      merge(`select id from orders order by id ${cut}`, types).sql.replace(/^.* ORDER BY id ?/, '');
    expect(shardLimit('limit 10 offset 5')).toBe('LIMIT (15)');
    expect(shardLimit('offset 5')).toBe('');
    expect(shardLimit('limit null offset 5')).toBe('');
    expect(shardLimit('limit 9223372036854775807 offset 5')).toBe('LIMIT (9223372036854775807)');
    expect(shardLimit('limit 10 offset -3')).toBe('LIMIT (10)');
    expect(shardLimit('offset 1 fetch first 2 rows with ties')).toBe(
      'FETCH FIRST (3) ROWS WITH TIES',
    );
    expect(shardLimit('limit $1 offset $2')).toMatch(/^LIMIT \(least\(\(\$1::int8\)::numeric \+ /);
  });

  it('leaves counts that only a server computes to the server', () => {
    const { inputs, final } = gather('select id from orders order by id limit 1 + 1');
    expect(inputs[0]!.sql).toMatch(/ LIMIT \(least\(\(case when \(1 \+ 1\)::int8 < 0 /);
    expect(final.at(-1)).toMatch(/LIMIT \(1 \+ 1\)$/);
    const changing = gather('select id from orders order by id limit (random() * 5)::int8');
    expect(changing.inputs[0]!.sql).not.toMatch(/LIMIT/);
  });

  it('reads counts from integer parameters of any width', () => {
    const sql = 'select id from orders order by id limit $1';
    expect(merge(sql, [TypeOid.int4]).limit).toEqual({ kind: 'param', index: 0 });
    expect(route(sql, [TypeOid.numeric]).many.kind).toBe('gather');
  });

  it('compares text by bytes only where every collation does', () => {
    const bytes = (sql: string): boolean => merge(sql).keys.every((key) => key.textByBytes);
    const sql = 'select status from orders order by status';
    expect(bytes(sql)).toBe(false);
    planner = new Planner(parser, shopTopology(), collated(true));
    expect(bytes(sql)).toBe(true);
    expect(bytes('select status from orders order by status collate "C"')).toBe(true);
    expect(bytes('select status from orders order by status collate "de-x-icu"')).toBe(false);
    planner = new Planner(parser, shopTopology(), collated(true, ['status']));
    expect(bytes(sql)).toBe(false);
    expect(bytes('select id from orders order by id')).toBe(true);
    expect(bytes('select status from orders order by id')).toBe(true);
    expect(bytes('select status from orders order by id || status')).toBe(false);
    expect(bytes('select status from orders order by status collate "C"')).toBe(true);
    expect(bytes('select status from orders order by status collate s."C"')).toBe(false);
    planner = new Planner(parser, shopTopology(), collated(false));
    expect(bytes(sql)).toBe(false);
    expect(bytes('select status from orders order by status collate "POSIX"')).toBe(true);
    expect(bytes('select status from orders order by upper(status collate "C")')).toBe(false);
  });

  it('knows what locks no more rows of a shard than are in the result', () => {
    const { locking, sql } = merge(
      'select id from orders order by id limit 1 for update skip locked',
    );
    expect(locking).toMatch(/FOR UPDATE SKIP LOCKED$/);
    expect(sql).toBe(`${locking} LIMIT (1)`);
    expect(merge('select id from orders order by id limit 1').locking).toBeUndefined();
    const planned = plan('select id from orders order by id limit 1 for update nowait').whole;
    expect(planned).toMatchObject({ kind: 'refuse' });
    expect(merge('select id from orders order by id for update').sql).toMatch(/FOR UPDATE$/);
  });
});

describe('inputs of a gather', () => {
  it('may travel as parameters only where no collation is lost', () => {
    const travels = (sql: string): boolean => gather(sql).inputs[0]!.defaultCollations;
    planner = new Planner(parser, shopTopology(), collated(true));
    expect(travels('select max(status) from orders')).toBe(true);
    expect(travels('select max(status collate "C") from orders')).toBe(false);
    planner = new Planner(parser, shopTopology(), collated(true, ['status']));
    expect(travels('select max(status) from orders')).toBe(false);
  });

  it('come from the shards of the keys that are named', () => {
    const { inputs, home } = gather('select sum(total) from orders where customer_id in (1, 2)');
    expect(inputs[0]!.shards).toMatchObject({ kind: 'keys' });
    expect(home).toMatchObject({ kind: 'any', keyspace: { name: 'shop' } });
  });
});

describe('a query inside another statement', () => {
  it('is scattered as a cursor too, and gathered where that goes backward', () => {
    const many = (options: string): unknown =>
      route(`declare c ${options} cursor for select id from orders order by id`).many;
    expect(many('')).toMatchObject({ kind: 'merge' });
    expect(many('no scroll')).toMatchObject({ kind: 'merge' });
    expect(many('scroll')).toMatchObject({ kind: 'gather' });
    const sum = 'select sum(total) from orders where customer_id = 5';
    expect(route(`declare c cursor for ${sum}`).shards.kind).toBe('keys');
  });

  it('is merged and gathered for COPY as by itself, where its rows cannot be joined as they come', () => {
    const copy = (query: string) => plan(`copy (${query}) to stdout`).whole;
    const source = (many: object): object => ({
      many: { kind: 'copyRows', source: { plan: { many } } },
    });
    expect(copy('select id from orders order by id')).toMatchObject(source({ kind: 'merge' }));
    expect(copy('select count(*) from orders')).toMatchObject(source({ kind: 'counts' }));
    expect(copy('select id from orders')).toMatchObject({ many: { kind: 'copyConcat' } });
  });
});
