import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KeyspaceIdCell } from '../../src/keyspace/keyspace-id.js';
import type { Shard } from '../../src/keyspace/topology.js';
import { TypeOid } from '../../src/keyspace/type-oids.js';
import { Planner } from '../../src/planner/planner.js';
import { Literals } from '../../src/sql/literals.js';
import { Parser } from '../../src/sql/parser.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { PlanRunner, type Row } from '../support/plan-runner.js';
import { RandomQueries, seededRandom, type Shape } from '../support/random-queries.js';
import { RandomScatters } from '../support/random-scatters.js';
import { shopCatalog, shopTopology } from '../unit/planner/shop.js';

/*
 * Goal: no plan gives an answer that one Postgres would not give.
 * Method: random SELECTs near the edge of what can be routed (random-queries.ts) or is done in parts
 * (random-scatters.ts) are planned; where the planner does not refuse, the plan is run by its letter
 * (plan-runner.ts), and the rows must be those of one Postgres that holds all the data. The tables
 * are small and full of equal keys and nulls, so that a wrong plan shows. FUZZ_SECONDS makes it run
 * longer, FUZZ_SEED repeats a run.
 */

const shapes: Readonly<Record<string, Shape>> = {
  customers: { ints: ['id'], texts: ['name', 'country'], key: 'id' },
  orders: { ints: ['id', 'customer_id', 'total'], texts: ['status'], key: 'customer_id' },
  order_items: { ints: ['order_id', 'customer_id'], texts: ['sku'], key: 'customer_id' },
  'archive.orders': { ints: ['id', 'customer_id'], texts: ['region'], key: 'customer_id' },
  logins: { ints: [], texts: ['name', 'ip'], key: 'name' },
  countries: { ints: [], texts: ['code', 'name'], key: 'code' },
  currencies: { ints: ['rate'], texts: ['code'], key: 'rate' },
};
const tables = (
  'customers customers orders orders orders order_items order_items archive.orders logins ' +
  'countries currencies'
)
  .split(' ')
  .map((name) => [name, shapes[name]!] as const);

const schema = `
  create table customers (id int8, name text, email text, country text, created timestamptz);
  create table orders (id int8, customer_id int8, total numeric, status text, placed timestamptz);
  create table order_items (order_id int8, customer_id int4, sku text, quantity int4);
  create schema archive; create table archive.orders (id int8, customer_id int8, region text);
  create table logins (name text, at timestamptz, ip text);
  create table countries (code text, name text);
  create table currencies (code text, rate numeric, updated timestamptz)`;

const seed = Number(process.env.FUZZ_SEED ?? 20_261_121);
const seconds = Number(process.env.FUZZ_SECONDS ?? 0);
const STATEMENTS = 2_000;

const topology = shopTopology();
const shop = topology.keyspaces.find(({ name }) => name === 'shop')!;
const random = seededRandom(seed);
const clients = new Map<string, pg.Client>();
let databases: DatabaseSet;
let parser: Parser;

beforeAll(async () => {
  parser = await Parser.create();
  databases = await createDatabaseSet('plan_soundness');
  for (const server of ['oracle', 's0', 's1', 's2', 's3'] as const) {
    const client = new pg.Client({ connectionString: databases.urls[server] });
    await client.connect();
    clients.set(server, client);
    await client.query(schema);
  }
  await fill();
});

afterAll(async () => {
  await Promise.all([...clients.values()].map((client) => client.end()));
  await databases.drop();
  await parser.close();
});

const below = (bound: number): number => Math.floor(random() * bound);
const number = (): number => 1 + below(14);
const word = (letter: string): string => `${letter}${below(5)}`;
const maybe = <T>(value: T): T | null => (below(8) === 0 ? null : value);

async function fill(): Promise<void> {
  for (let id = 1; id <= 12; id++)
    await put('customers', [id, word('n'), null, maybe(word('c'))], id);
  for (let i = 0; i < 40; i++) {
    const key = number();
    await put('orders', [number(), key, maybe(1 + below(8)), maybe(word('n'))], key);
    await put('order_items', [number(), key, maybe(word('n'))], key);
  }
  for (let i = 0; i < 25; i++) {
    const key = number();
    await put('archive.orders', [number(), key, word('n')], key);
  }
  for (let i = 0; i < 15; i++) {
    const name = word('n');
    await put('logins', [name, null, word('c')], name);
  }
  for (let i = 0; i < 3; i++) {
    await put('countries', [`c${i}`, `n${i}`], null);
    await put('currencies', [`c${i + 1}`, i + 1], null);
  }
}

/** Stores a row where it belongs, and with the oracle. `key` null: a reference table. */
async function put(table: string, row: (string | number | null)[], key: number | string | null) {
  const places = row.map((_, index) => `$${index + 1}`).join(', ');
  const sql = `insert into ${table} values (${places})`;
  const shards = key === null ? shop.shards : [shardOf(table, key)];
  for (const server of ['oracle', ...shards.map(({ name }) => name)]) {
    await clients.get(server)!.query(sql, row);
  }
}

function shardOf(name: string, key: number | string): Shard {
  const table = topology.tables.get(name.includes('.') ? name : `public.${name}`)!;
  if (table.type !== 'sharded') throw new Error(`${name} is not sharded`);
  const bytes = new TextEncoder().encode(String(key));
  const cell = new KeyspaceIdCell();
  const type = typeof key === 'number' ? TypeOid.int8 : TypeOid.text;
  table.vindex.mapper(type, type)!.text(bytes, 0, bytes.length, cell);
  return shop.shardOf(cell.hi, cell.lo);
}

const sorted = (rows: readonly Row[]): string[] => rows.map((row) => JSON.stringify(row)).sort();

const scatterTables = [
  {
    name: 'orders',
    key: 'customer_id',
    numbers: ['customer_id', 'id', 'total'],
    texts: ['status'],
  },
  { name: 'order_items', key: 'customer_id', numbers: ['customer_id', 'order_id'], texts: ['sku'] },
  { name: 'customers', key: 'id', numbers: ['id'], texts: ['name', 'country'] },
  { name: 'archive.orders', key: 'customer_id', numbers: ['customer_id', 'id'], texts: ['region'] },
];

/** How many statements were answered in which way. */
type Ways = Record<string, number>;

async function compare(statements: () => string, least: number): Promise<Ways> {
  const planner = new Planner(parser, topology, shopCatalog());
  const runner = new PlanRunner(clients, topology);
  const ways: Ways = { refused: 0, invalid: 0 };
  const end = Date.now() + seconds * 1000;
  for (let n = 0; n < least || Date.now() < end; n++) {
    const sql = statements();
    const text = new TextEncoder().encode(sql);
    const literals = new Literals();
    const context = {
      searchPath: ['public'],
      searchPathKey: '',
      paramTypes: [],
      paramTypesKey: '',
    };
    const { whole: plan } = await planner.plan(text, 0, text.length, context, literals);
    if (plan?.kind !== 'route') {
      ways.refused!++;
      continue;
    }
    // The generators are no parsers: some of their statements are wrong.
    const expected = await runner.rows('oracle', sql).catch(() => null);
    if (expected === null) {
      ways.invalid!++;
      continue;
    }
    const answer = await runner.run(plan, sql, text, literals);
    if (answer === null) {
      ways.refused!++;
      continue;
    }
    expect(sorted(answer.rows), sql).toEqual(sorted(expected));
    if (/ order by[^()]*$/.test(sql)) expect(answer.rows, sql).toEqual(expected);
    ways[answer.way] = (ways[answer.way] ?? 0) + 1;
  }
  expect(ways.invalid).toBeLessThan(least / 50);
  return ways;
}

const timeout = 120_000 + seconds * 1000;

it(
  `gives the rows of one Postgres near the edge of routing (seed ${seed})`,
  { timeout },
  async () => {
    const queries = new RandomQueries(random, tables);
    const ways = await compare(() => queries.statement(), STATEMENTS);
    // The test must not become empty by refusing everything.
    expect(ways.refused).toBeLessThan(STATEMENTS / 10);
    expect(ways.oneShard).toBeGreaterThan(STATEMENTS / 20);
    expect(ways.concat).toBeGreaterThan(STATEMENTS / 40);
    expect(ways.gather).toBeGreaterThan(STATEMENTS / 4);
  },
);

it(`gives the rows of one Postgres in parts (seed ${seed})`, { timeout }, async () => {
  const queries = new RandomScatters(random, scatterTables);
  const ways = await compare(() => queries.statement(), STATEMENTS / 2);
  expect(ways.refused).toBe(0);
  expect(ways.merge).toBeGreaterThan(STATEMENTS / 10);
  expect(ways.gather).toBeGreaterThan(STATEMENTS / 10);
});
