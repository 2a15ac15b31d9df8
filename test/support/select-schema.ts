/**
 * The schema of the comparisons of SELECTs: two tables that share a shard key (`users`, `sales`),
 * one with a key of another type (`events`), a reference table (`regions`) and an unsharded one
 * (`notes`). Their rows hold what sorts, compares, adds or travels in surprising ways.
 */
import type { ClusterTables } from './proxy-config.js';
import { seededRandom } from './random-queries.js';

/** What an expression can be used for: operators and functions go by it. */
export type Kind =
  | 'int'
  | 'big'
  | 'num'
  | 'flt'
  | 'txt'
  | 'ctx'
  | 'itx'
  | 'bool'
  | 'date'
  | 'ts'
  | 'tz'
  | 'itv'
  | 'uid'
  | 'byt'
  | 'jsn'
  | 'arr'
  | 'tags'
  | 'enm'
  | 'enms'
  | 'rng'
  | 'adr'
  | 'net'
  | 'tsv';

export interface SchemaColumn {
  readonly name: string;
  readonly kind: Kind;
  /** Equal values look the same: unlike 1.0 and 1.00, 0 and -0, 'b' and 'b   ' as char. */
  readonly exact: boolean;
}

export interface SchemaTable {
  readonly name: string;
  readonly columns: readonly SchemaColumn[];
  readonly unique: readonly string[];
  /** A view; absent: a table, of which `unique` is the primary key. */
  readonly view?: true;
  /** The shard key; null where there is none. */
  readonly key: string | null;
  /** How many rows it has, for keeping products small. */
  readonly rows: number;
}

/** `name:kind` each; a `~` behind it: equal values may look different. */
export function columns(text: string): SchemaColumn[] {
  return text.split(' ').map((item) => {
    const [name, kind] = item.replace('~', '').split(':') as [string, Kind];
    return { name, kind, exact: !item.endsWith('~') };
  });
}

export const selectTables: readonly SchemaTable[] = [
  {
    name: 'users',
    columns: columns(
      'id:big a:int boss:big n:num~ q:num f:flt~ g:flt t:txt v:txt c:txt~ b:bool d:date ts:ts ' +
        'tz:tz iv:itv~ u:uid y:byt j:jsn r:arr e:enm o:int tc:ctx ti:itx',
    ),
    unique: ['id'],
    key: 'id',
    rows: 36,
  },
  {
    name: 'sales',
    columns: columns(
      'uid:big n:int amount:num a:int t:txt at:tz flag:bool e:enm f:flt~ rid:int es:enms',
    ),
    unique: ['uid', 'n'],
    key: 'uid',
    rows: 70,
  },
  {
    name: 'events',
    columns: columns('code:txt seq:int a:int uid:big w:num~ d:date t:txt tags:tags r:flt'),
    unique: ['code', 'seq'],
    key: 'code',
    rows: 50,
  },
  {
    name: 'regions',
    columns: columns('id:int name:txt t:txt parent:int q:num'),
    unique: ['id'],
    key: null,
    rows: 6,
  },
  {
    name: 'notes',
    columns: columns('id:big a:int t:txt q:num d:date'),
    unique: ['id'],
    key: null,
    rows: 12,
  },
];

/** Where the tables live. */
export const selectClusterTables: ClusterTables = {
  main: { notes: {} },
  shop: {
    users: { shard_key: 'id', vindex: 'by_key' },
    sales: { shard_key: 'uid', vindex: 'by_key' },
    events: { shard_key: 'code', vindex: 'by_key' },
    regions: { type: 'reference' },
  },
};

const ddl: readonly string[] = [
  `CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')`,
  // Its place in the order is no place in the catalog.
  `ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok'`,
  'CREATE DOMAIN posint AS int4 CHECK (VALUE > 0)',
  `CREATE TABLE users (id int8 PRIMARY KEY, a int4, boss int8, n numeric, q numeric(10,2),
    f float8, g float4, t text, v varchar(12), c char(4), b bool, d date, ts timestamp,
    tz timestamptz, iv interval, u uuid, y bytea, j jsonb, r int4[], e mood, o posint,
    tc text COLLATE "C", ti text COLLATE "en-x-icu")`,
  `CREATE TABLE sales (uid int8, n int4, amount numeric(10,2) NOT NULL, a int4, t text,
    at timestamptz, flag bool, e mood, f float8, rid int4, es mood[], PRIMARY KEY (uid, n))`,
  `CREATE TABLE events (code text, seq int4, a int4, uid int8, w numeric, d date, t varchar(8),
    tags text[], r float4, PRIMARY KEY (code, seq))`,
  'CREATE TABLE regions (id int4 PRIMARY KEY, name text, t text, parent int4, q numeric(10,2))',
  'CREATE TABLE notes (id int8 PRIMARY KEY, a int4, t text, q numeric(10,2), d date)',
];

const words = [
  ..."'', 'a', 'A', 'ä', 'Ä', 'z', 'Z', 'ab', 'a b', 'ß', 'ss', '日本', '😀'".split(', '),
  // é as one character and as two, a quote, a backslash, numbers that sort otherwise as text.
  ..."'\u00e9', 'e\u0301', 'O''Hara', 'a\\', 'a%', '10', '9', 'a', 'z', NULL, NULL".split(', '),
];
const letters = "'a', 'b', 'B', 'ä', '', 'a-b', 'ab', 'a', NULL".split(', ');

/** Literals that columns are filled with, and that predicates compare them with. */
export const pools: Readonly<Record<string, readonly string[]>> = {
  int: ['0', '1', '2', '3', '4', '5', '-1', 'NULL'],
  numLoose: (
    "0, 1, 1.0, 1.00, -1.5, 'NaN', 'Infinity', '-Infinity', 123456789012345678901234567890.5, " +
    '0.000001, 2, 2.50, 2.5, NULL, NULL'
  ).split(', '),
  num: ['0.00', '1.00', '2.50', '-3.75', '99.99', "'NaN'", '10.10', '2.50', 'NULL'],
  amount: ['0.00', '1.50', '2.25', '-3.75', '100.00', '10.10', '2.25'],
  fltLoose: "0, '-0', 1.5, -2.25, 'NaN', 'Infinity', '-Infinity', 0.25, NULL".split(', '),
  flt: ['0.5', '1.5', '2', '-3.75', '1024', 'NULL'],
  word: words,
  letter: letters,
  char: ["'a'", "'a '", "'b'", "''", "'ä'", "'abcd'", 'NULL'],
  bool: ['true', 'false', 'NULL'],
  date: (
    "'2024-02-29', '1999-12-31', 'infinity', '-infinity', '0044-03-15 BC', '2024-03-01', " +
    "'2024-02-29', NULL"
  ).split(', '),
  ts: (
    "'2024-02-29 23:59:59.999999', '2024-03-01', 'infinity', '1970-01-01 00:00:00.000001', " +
    "'2024-10-27 02:30:00', NULL"
  ).split(', '),
  tz: (
    "'2024-02-29 23:59:59.5+00', '2024-03-31 01:00:00+00', '-infinity', " +
    "'1970-01-01 12:00:00+05:30', '2024-03-01 04:59:59.5+05', '2024-10-27 00:30:00+00', NULL"
  ).split(', '),
  itv: (
    "'1 mon', '30 days', '720:00:00', '-1 day', '1 year 2 mons 3 days 04:05:06.789', '0', " +
    "'00:00:01', NULL"
  ).split(', '),
  uid: [
    "'00000000-0000-0000-0000-000000000000'",
    "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
    "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    'NULL',
  ],
  byt: ["'\\x'", "'\\x00'", "'\\xff'", "'\\x0001'", "'\\x61'", 'NULL'],
  jsn: [
    `'{"a": 1}'`,
    `'{"a": 2, "b": [1, null]}'`,
    `'null'`,
    `'[]'`,
    `'"text"'`,
    `'{"a": "x"}'`,
    'NULL',
  ],
  arr: ["'{}'", "'{1,2}'", "'{2,1}'", "'{NULL}'", "'{1,NULL}'", "'{{1,2},{3,4}}'", 'NULL'],
  tags: ["'{}'", "'{a,b}'", '\'{NULL,""}\'', "'{ä}'", "'{b}'", 'NULL'],
  enm: ["'sad'", "'meh'", "'ok'", "'happy'", "'ok'", 'NULL'],
  enms: ["'{}'", "'{sad,happy}'", "'{ok,NULL}'", "'{meh}'", 'NULL'],
  rng: ["'empty'", "'[1,3)'", "'[1,5)'", "'(,3)'", "'[2,)'", "'(,)'", "'[1,2]'", 'NULL'],
  adr: ["'(a,1)'", "'(b,)'", "'(,)'", "'(A,2)'", "'(ä,0)'", 'NULL'],
  net: ["'10.0.0.1'", "'10.0.0.0/8'", "'10.0.0.1/8'", "'::1'", "'9.255.0.0'", 'NULL'],
  tsv: ["'fat:1 cat:2'", "''", "'dog:3A'", "'cat:1'", 'NULL'],
};

/** CREATE and INSERT statements; the same rows each time. */
export function selectSchema(): string[] {
  return [...ddl, ...rows()];
}

function rows(): string[] {
  const random = seededRandom(7);
  const below = (bound: number): number => Math.floor(random() * bound);
  const from = (pool: string): string => pools[pool]![below(pools[pool]!.length)]!;
  const make = (...pool: string[]): string => pool.map(from).join(', ');
  const ids = [...Array.from({ length: 34 }, (_, i) => i - 2), 5_000_000_000, -7_000_000_000];
  const users = ids.map((id, i) => {
    const boss = i === 0 || below(5) === 0 ? 'NULL' : ids[below(i)]!;
    const posint = below(4) === 0 ? 'NULL' : 1 + below(4);
    const values = [
      ...[id, from('int'), boss, make('numLoose', 'num', 'fltLoose', 'flt', 'word', 'letter')],
      ...[make('char', 'bool', 'date', 'ts', 'tz', 'itv', 'uid', 'byt', 'jsn', 'arr', 'enm')],
      ...[posint, make('letter', 'letter')],
    ];
    return `(${values.join(', ')})`;
  });
  const sales: string[] = [];
  for (let i = 0; sales.length < 70; i++) {
    // Some have no user, some users have none.
    const uid = ids[(i * 7) % 30] ?? 0;
    const other = below(9) === 0 ? 900 + i : uid;
    const rest = make('amount', 'int', 'word', 'tz', 'bool', 'enm', 'fltLoose', 'int', 'enms');
    sales.push(`(${other}, ${Math.floor(i / 30)}, ${rest})`);
  }
  const codes = letters.filter((letter, i) => letter !== 'NULL' && letters.indexOf(letter) === i);
  const events = Array.from({ length: 50 }, (_, i) => {
    const code = codes[i % codes.length]!;
    const uid = below(6) === 0 ? 'NULL' : ids[below(ids.length)]!;
    const seq = Math.floor(i / codes.length);
    const rest = make('numLoose', 'date', 'letter', 'tags', 'flt');
    return `(${code}, ${seq}, ${from('int')}, ${uid}, ${rest})`;
  });
  const regions = Array.from({ length: 6 }, (_, i) => {
    const parent = i === 0 ? 'NULL' : below(i);
    return `(${i}, ${make('letter', 'word')}, ${parent}, ${from('num')})`;
  });
  const notes = Array.from({ length: 12 }, (_, i) => {
    return `(${i * 2}, ${make('int', 'word', 'num', 'date')})`;
  });
  return [
    `INSERT INTO users VALUES ${users.join(', ')}`,
    `INSERT INTO sales VALUES ${sales.join(', ')}`,
    `INSERT INTO events VALUES ${events.join(', ')}`,
    `INSERT INTO regions VALUES ${regions.join(', ')}`,
    `INSERT INTO notes VALUES ${notes.join(', ')}`,
  ];
}
