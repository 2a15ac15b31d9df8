import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ShardTargets, ValueSource } from '../../src/executor/shard-targets.js';
import { KeyspaceIdCell } from '../../src/keyspace/keyspace-id.js';
import type { Shard } from '../../src/keyspace/topology.js';
import { TypeOid } from '../../src/keyspace/type-oids.js';
import { Planner } from '../../src/planner/planner.js';
import type { RoutePlan } from '../../src/planner/plan.js';
import { Literals } from '../../src/sql/literals.js';
import { Parser } from '../../src/sql/parser.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { RandomQueries, seededRandom, type Shape } from '../support/random-queries.js';
import type { ServerName } from '../support/servers.js';
import { shopCatalog, shopTopology } from '../unit/planner/shop.js';

/*
 * Goal: no plan gives an answer that one Postgres would not give.
 * Method: random SELECTs near the edge of what can be routed (random-queries.ts) are planned; where
 * the planner does not refuse, the shards that it names run the statement, and the rows put
 * together must be those of one Postgres that holds all the data. The tables are small and full of
 * equal keys, so that a wrong route shows. FUZZ_SECONDS makes it run longer, FUZZ_SEED repeats a
 * run.
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
  create table customers (id int8, name text, country text);
  create table orders (id int8, customer_id int8, total numeric, status text);
  create table order_items (order_id int8, customer_id int4, sku text);
  create schema archive; create table archive.orders (id int8, customer_id int8, region text);
  create table logins (name text, ip text);
  create table countries (code text, name text);
  create table currencies (code text, rate numeric)`;

const seed = Number(process.env.FUZZ_SEED ?? 20_261_121);
const seconds = Number(process.env.FUZZ_SECONDS ?? 0);
const STATEMENTS = 2_000;

const topology = shopTopology();
const shop = topology.keyspaces.find(({ name }) => name === 'shop')!;
const random = seededRandom(seed);
const clients = new Map<ServerName, pg.Client>();
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

async function fill(): Promise<void> {
  for (let id = 1; id <= 12; id++) await put('customers', [id, word('n'), word('c')], id);
  for (let i = 0; i < 40; i++) {
    const key = number();
    await put('orders', [number(), key, 1 + below(8), word('n')], key);
    await put('order_items', [number(), key, word('n')], key);
  }
  for (let i = 0; i < 25; i++) {
    const key = number();
    await put('archive.orders', [number(), key, word('n')], key);
  }
  for (let i = 0; i < 15; i++) {
    const name = word('n');
    await put('logins', [name, word('c')], name);
  }
  for (let i = 0; i < 3; i++) {
    await put('countries', [`c${i}`, `n${i}`], null);
    await put('currencies', [`c${i + 1}`, i + 1], null);
  }
}

/** Stores a row where it belongs, and with the oracle. `key` null: a reference table. */
async function put(table: string, row: (string | number)[], key: number | string | null) {
  const places = row.map((_, index) => `$${index + 1}`).join(', ');
  const sql = `insert into ${table} values (${places})`;
  const shards = key === null ? shop.shards : [shardOf(table, key)];
  for (const server of ['oracle', ...shards.map(({ name }) => name)]) {
    await clients.get(server as ServerName)!.query(sql, row);
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

const targets = new ShardTargets();
const source = new ValueSource();

/** The shards that answer; null where the plan, with these values, is refused after all. */
function serversOf(plan: RoutePlan, text: Uint8Array, literals: Literals): string[] | null {
  const { shards } = plan;
  if (shards.kind === 'all') return shops();
  if (shards.kind !== 'keys') return [shops()[below(4)]!];
  Object.assign(source, { text, textStart: 0, literals, bind: null });
  targets.resolve(shop, shards.groups, source);
  if (targets.shards.length > 1 && plan.many.kind === 'refuse') return null;
  return targets.shards.map(({ name }) => name);
}

function shops(): string[] {
  return shop.shards.map(({ name }) => name);
}

async function rowsOf(server: string, sql: string): Promise<string[][]> {
  const text = { getTypeParser: () => (value: unknown) => value };
  const query = { text: sql, rowMode: 'array' as const, types: text };
  const result = await clients.get(server as ServerName)!.query<string[]>(query);
  return result.rows;
}

async function answer(plan: RoutePlan, servers: readonly string[], sql: string) {
  const answers = await Promise.all(servers.map((server) => rowsOf(server, sql)));
  const rows = answers.flat();
  if (plan.many.kind !== 'counts' || servers.length === 1) return rows;
  return [rows[0]!.map((_, index) => String(rows.reduce((sum, row) => sum + +row[index]!, 0)))];
}

const sorted = (rows: readonly string[][]): string[] =>
  rows.map((row) => JSON.stringify(row)).sort();

it(
  `gives the rows of one Postgres, or refuses (seed ${seed})`,
  { timeout: 120_000 + seconds * 1000 },
  async () => {
    const planner = new Planner(parser, topology, shopCatalog());
    const queries = new RandomQueries(random, tables);
    const counts = { refused: 0, oneShard: 0, severalShards: 0, invalid: 0 };
    const end = Date.now() + seconds * 1000;
    for (let n = 0; n < STATEMENTS || Date.now() < end; n++) {
      const sql = queries.statement();
      const text = new TextEncoder().encode(sql);
      const literals = new Literals();
      const context = {
        searchPath: ['public'],
        searchPathKey: '',
        paramTypes: [],
        paramTypesKey: '',
      };
      const { whole: plan } = await planner.plan(text, 0, text.length, context, literals);
      const servers = plan?.kind === 'route' ? serversOf(plan, text, literals) : null;
      if (plan?.kind !== 'route' || servers === null) {
        counts.refused++;
        continue;
      }
      const expected = await rowsOf('oracle', sql).catch(() => null);
      if (expected === null) {
        // The generator is no parser: some of its statements are wrong.
        counts.invalid++;
        continue;
      }
      expect(sorted(await answer(plan, servers, sql)), sql).toEqual(sorted(expected));
      if (servers.length === 1) counts.oneShard++;
      else counts.severalShards++;
    }
    // The test must not become empty by refusing everything.
    expect(counts.oneShard).toBeGreaterThan(STATEMENTS / 20);
    expect(counts.severalShards).toBeGreaterThan(STATEMENTS / 40);
    expect(counts.invalid).toBeLessThan(STATEMENTS / 50);
  },
);
