/**
 * More tables for the random comparison of SELECTs: other vindexes (ranges, periods, lists), lookups,
 * a partitioned table, columns of composite, range, network and text search types, generated columns;
 * and views, of tables and of views. They stand beside those of select-schema.ts.
 */
import { seededRandom } from './random-queries.js';
import type { ClusterTables } from './proxy-config.js';
import {
  columns,
  pools,
  selectClusterTables,
  selectSchema,
  selectTables,
  type SchemaTable,
} from './select-schema.js';

/** Views are among them: without a key of their own, or with that of the table that they read. */
export const wideTables: readonly SchemaTable[] = [
  ...selectTables,
  ...selectTables.slice(0, 3),
  {
    name: 'stock',
    columns: columns('sku:int a:int t:txt q:num half:int span:rng ip:net'),
    unique: ['sku'],
    key: 'sku',
    rows: 24,
  },
  {
    name: 'visits',
    columns: columns('at:ts seq:int who:big code:txt t:txt home:adr words:tsv'),
    unique: ['at', 'seq'],
    key: 'at',
    rows: 30,
  },
  {
    name: 'parcels',
    columns: columns('id:big month:int a:int t:txt e:enm span:rng home:adr'),
    unique: ['id', 'month'],
    key: 'id',
    rows: 40,
  },
  {
    name: 'depots',
    columns: columns('code:txt id:big a:int ip:net d:date'),
    unique: ['code'],
    key: 'code',
    rows: 9,
  },
  {
    name: 'happy_users',
    view: true,
    columns: columns('id:big a:int t:txt e:enm n:num~'),
    unique: ['id'],
    key: 'id',
    rows: 20,
  },
  {
    name: 'spent',
    view: true,
    columns: columns('uid:big sales:big total:num'),
    unique: ['uid'],
    key: 'uid',
    rows: 30,
  },
  { name: 'named', view: true, columns: columns('id:big t:txt'), unique: [], key: null, rows: 26 },
  {
    name: 'happy_spent',
    view: true,
    columns: columns('id:big t:txt e:enm total:num'),
    unique: ['id'],
    key: 'id',
    rows: 15,
  },
];

/** Where they live; a shard count decides over which shards vindexes with places of their own go. */
export function wideClusterTables(shardCount: number): ClusterTables {
  const last = `s${shardCount - 1}`;
  const second = `s${Math.min(1, shardCount - 1)}`;
  const cuts = [
    { to: 2, shard: last },
    { to: 9, shard: 's0' },
  ];
  const ranges = shardCount === 1 ? [{ shard: last }] : [...cuts, { shard: second }];
  return {
    ...selectClusterTables,
    vindexes: {
      by_sku: { type: 'range', ranges },
      by_month: { type: 'time', period: 'month' },
      by_place: { type: 'list', values: { "'a'": last, "'b'": 's0' }, others: ['s0', second] },
      by_code: { type: 'lookup', table: 'visit_codes' },
    },
    shop: {
      ...selectClusterTables.shop,
      stock: { shard_key: 'sku', vindex: 'by_sku' },
      visits: { shard_key: 'at', vindex: 'by_month', lookups: { code: 'by_code' } },
      parcels: { shard_key: 'id', vindex: 'by_key' },
      depots: { shard_key: 'code', vindex: 'by_place' },
    },
  };
}

const ddl: readonly string[] = [
  'CREATE TYPE address AS (street text, number int4)',
  `CREATE TABLE stock (sku int4 PRIMARY KEY, a int4, t text, q numeric(10,2),
    half int4 GENERATED ALWAYS AS (sku / 2) STORED, span int4range, ip inet)`,
  `CREATE TABLE visits (at timestamp, seq int4, who int8, code varchar(8), t text, home address,
    words tsvector, PRIMARY KEY (at, seq))`,
  `CREATE TABLE parcels (id int8, month int4, a int4, t text, e mood, span int4range, home address,
    PRIMARY KEY (id, month)) PARTITION BY RANGE (month)`,
  'CREATE TABLE parcels_old PARTITION OF parcels FOR VALUES FROM (0) TO (3)',
  'CREATE TABLE parcels_new PARTITION OF parcels DEFAULT',
  'CREATE TABLE depots (code text PRIMARY KEY, id int8, a int4, ip inet, d date)',
  `CREATE VIEW happy_users AS SELECT id, a, t, e, n FROM users WHERE e > 'sad'`,
  `CREATE VIEW spent AS SELECT uid, count(*) AS sales, sum(amount) AS total FROM sales GROUP BY uid`,
  `CREATE VIEW named AS SELECT id, t FROM regions UNION ALL SELECT id, t FROM happy_users`,
  `CREATE VIEW happy_spent AS
    SELECT h.id, h.t, h.e, s.total FROM spent s JOIN happy_users h ON h.id = s.uid`,
];

/** CREATE and INSERT statements; the same rows each time. */
export function wideSchema(): string[] {
  return [...selectSchema(), ...ddl, ...rows()];
}

function rows(): string[] {
  const random = seededRandom(11);
  const below = (bound: number): number => Math.floor(random() * bound);
  const make = (...names: string[]): string =>
    names.map((name) => pools[name]![below(pools[name]!.length)]!).join(', ');
  const list = (count: number, row: (i: number) => string): string =>
    Array.from({ length: count }, (_, i) => `(${row(i)})`).join(', ');
  const moments = pools['ts']!.filter((moment) => moment !== 'NULL' && moment.length > 15);
  const codes = ["'a'", "'b'", "'B'", "'ä'", "''", "'z'", "'ab'", "'10'", "'9'"];
  return [
    `INSERT INTO stock (sku, a, t, q, span, ip) VALUES
      ${list(24, (i) => `${i - 4}, ${make('int', 'word', 'num', 'rng', 'net')}`)}`,
    `INSERT INTO visits VALUES ${list(30, (i) => {
      const at = moments[i % moments.length]!;
      return `${at}, ${i}, ${below(12)}, ${make('letter', 'word', 'adr', 'tsv')}`;
    })}`,
    `INSERT INTO parcels VALUES ${list(40, (i) => {
      return `${i % 17}, ${Math.floor(i / 8)}, ${make('int', 'word', 'enm', 'rng', 'adr')}`;
    })}`,
    `INSERT INTO depots VALUES
      ${list(codes.length, (i) => `${codes[i]!}, ${i}, ${make('int', 'net', 'date')}`)}`,
  ];
}
