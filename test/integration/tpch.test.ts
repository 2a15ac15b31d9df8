/*
 * Goal: the 22 queries of TPC-H give one Postgres's answers over four shards, none refused.
 * Method: generated data at scale 0.01, loaded by COPY through the proxy; each query on both, with
 * its time told.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runStatement } from '../support/oracle.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import { tpchTables, type TpchTable } from '../support/tpch-data.js';
import { tpchQueries } from '../support/tpch-queries.js';

const SCALE = 0.01;

const keys = {
  supplier: 's_suppkey',
  part: 'p_partkey',
  partsupp: 'ps_partkey',
  customer: 'c_custkey',
  orders: 'o_orderkey',
  lineitem: 'l_orderkey',
};
const primaryKeys: Readonly<Record<string, string>> = {
  ...keys,
  region: 'r_regionkey',
  nation: 'n_nationkey',
  partsupp: 'ps_partkey, ps_suppkey',
  lineitem: 'l_orderkey, l_linenumber',
};
const indexes = [
  'CREATE INDEX ON lineitem (l_partkey, l_suppkey)',
  'CREATE INDEX ON orders (o_custkey)',
  'CREATE INDEX ON partsupp (ps_suppkey)',
];

let scene: Scene;
let proxy: pg.Client;
let oracle: pg.Client;
/** How many rows each query gave. */
const rowCounts: number[] = [];

beforeAll(async () => {
  const sharded = Object.entries(keys).map(([table, key]) => {
    return [table, { shard_key: key, vindex: 'by_key' }];
  });
  const shop = {
    ...(Object.fromEntries(sharded) as Record<string, object>),
    region: { type: 'reference' },
    nation: { type: 'reference' },
  };
  const tables = tpchTables(SCALE);
  const schema = tables.map(({ name, columns }) => {
    return `CREATE TABLE ${name} (${columns}, PRIMARY KEY (${primaryKeys[name]!}))`;
  });
  scene = await openScene('tpch', { shop }, [...schema, ...indexes]);
  proxy = await connectPg(scene.proxy.url);
  oracle = await connectPg(scene.databases.urls.oracle);
  for (const table of tables) {
    await load(proxy, table);
    await load(oracle, table);
  }
  for (const server of ['oracle', 's0', 's1', 's2', 's3'] as const) {
    await scene.databases.query(server, 'ANALYZE');
  }
});
afterAll(async () => {
  await proxy.end();
  await oracle.end();
  await scene.close();
});

async function load(client: pg.Client, { name, lines }: TpchTable): Promise<void> {
  const stream = client.query(copyFrom(`COPY ${name} FROM STDIN`));
  await pipeline(Readable.from(blocks(lines)), stream);
}

/** Lines in blocks that are worth a message. */
function* blocks(lines: readonly string[]): Generator<string> {
  for (let i = 0; i < lines.length; i += 500) yield `${lines.slice(i, i + 500).join('\n')}\n`;
}

test.each(tpchQueries.map((sql, i) => [i + 1, sql] as const))('query %i', async (number, sql) => {
  const started = performance.now();
  const theirs = await runStatement(oracle, sql);
  const answered = performance.now();
  const ours = await runStatement(proxy, sql);
  const ended = performance.now();
  const [plain, sharded] = [answered - started, ended - answered].map((ms) => ms.toFixed(0));
  const rows = theirs.results[0]?.rows.length ?? 0;
  rowCounts.push(rows);
  console.log(`TPC-H ${number}: ${sharded!} ms, one Postgres ${plain!} ms, ${rows} rows`);
  expect(theirs.error).toBeNull();
  expect(ours).toEqual(theirs);
});

test('the data is such that nearly every query finds something', () => {
  expect(rowCounts.filter((count) => count > 0).length).toBeGreaterThanOrEqual(20);
});
