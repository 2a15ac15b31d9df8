import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

/*
 * CREATE TABLE AS, SELECT INTO and materialized views: the new table is what one Postgres would have made, and its rows
 * are where the keyspace says.
 */
let scene: Scene;

beforeAll(async () => {
  scene = await openScene(
    'created_tables',
    {
      main: { settings: {} },
      shop: {
        items: { shard_key: 'id' },
        copies: { shard_key: 'id' },
        names: { type: 'reference' },
      },
    },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name varchar(20), price numeric(8,2))',
      `INSERT INTO items SELECT g, 'n' || g, g * 1.5 FROM generate_series(1, 40) g`,
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      `INSERT INTO settings VALUES ('a', '1'), ('b', '2')`,
    ],
    { default_keyspace: 'main' },
  );
});
afterAll(async () => {
  await scene.close();
});

async function same(...statements: readonly string[]): Promise<void> {
  for (const sql of statements) await scene.comparison.expectSame(sql);
}

const columnsOf = (table: string): string =>
  `SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = '${table}'::regclass AND attnum > 0 ORDER BY attnum`;

describe('CREATE TABLE AS', () => {
  test('of a sharded table, into a sharded one', async () => {
    await same(
      'CREATE TABLE copies AS SELECT id, name, price, price * 2 AS twice FROM items WHERE id > 3',
      columnsOf('copies'),
      'SELECT * FROM copies ORDER BY id',
    );
    const rows = await Promise.all(
      (['s0', 's1', 's2', 's3', 'main'] as const).map((name) =>
        scene.databases.query(name, 'SELECT id::int FROM copies'),
      ),
    );
    expect(rows.at(-1)).toEqual([]);
    expect(rows.every((found, shard) => shard === 4 || found.length > 0)).toBe(true);
    expect(rows.flat()).toHaveLength(37);
    await same('DROP TABLE copies');
  });

  test('into a reference table, and into one of the default keyspace', async () => {
    await same(
      'CREATE TABLE names (key, name) AS SELECT id, name FROM items ORDER BY id LIMIT 3',
      'SELECT * FROM names ORDER BY key',
      'CREATE UNLOGGED TABLE sums AS SELECT id % 3 AS part, sum(price) FROM items GROUP BY 1 WITH DATA',
      columnsOf('sums'),
      'SELECT * FROM sums ORDER BY part',
    );
    for (const shard of ['s0', 's3'] as const) {
      expect(await scene.databases.query(shard, 'SELECT count(*)::int FROM names')).toEqual([[3]]);
      expect(await scene.databases.query(shard, 'SELECT count(*)::int FROM sums')).toEqual([[0]]);
    }
    await same('DROP TABLE names, sums');
  });

  test('as part of a transaction, of a text, and prepared', async () => {
    await same(
      'BEGIN',
      'CREATE TABLE made AS SELECT id FROM items WHERE id < 4',
      'INSERT INTO made VALUES (100)',
      'SELECT * FROM made ORDER BY id',
      'ROLLBACK',
      'SELECT * FROM made',
      'CREATE TABLE made AS TABLE settings; SELECT * FROM made ORDER BY key',
      'DROP TABLE made; CREATE TABLE made AS SELECT 1 AS x; SELECT 1/0',
      'SELECT * FROM made ORDER BY key',
      'DROP TABLE made',
    );
    await scene.comparison.expectSame(
      'CREATE TABLE made AS SELECT * FROM items WHERE id < $1',
      [6],
    );
    await same('SELECT * FROM made ORDER BY id', 'DROP TABLE made');
  });

  test('without rows, and where the table is there already', async () => {
    await same(
      'CREATE TABLE made AS SELECT * FROM items WITH NO DATA',
      'SELECT * FROM made',
      'CREATE TABLE IF NOT EXISTS made AS SELECT * FROM items',
      'CREATE TABLE made AS SELECT * FROM items',
      'SELECT * FROM made',
      'DROP TABLE made',
      'CREATE TABLE IF NOT EXISTS made AS SELECT * FROM settings',
      'SELECT * FROM made ORDER BY key',
      'DROP TABLE made',
    );
  });

  test('that fails leaves nothing, wherever it fails', async () => {
    await same('CREATE TABLE made AS SELECT 1 / (id - 5) FROM items', 'SELECT * FROM made');
    const client = await connectPg(scene.proxy.url);
    const keyless = client.query('CREATE TABLE copies AS SELECT name FROM items');
    await expect(keyless).rejects.toMatchObject({ code: '0A000' });
    await expect(client.query('SELECT * FROM copies')).rejects.toMatchObject({ code: '42P01' });
    await client.end();
  });

  test('is made where a table was made past the proxy meanwhile: no rows are added', async () => {
    await scene.databases.onEach(
      ['main', 's0', 's1', 's2', 's3'],
      'CREATE TABLE past (key text, value text)',
    );
    const client = await connectPg(scene.proxy.url);
    const { command } = await client.query(
      'CREATE TABLE IF NOT EXISTS past AS SELECT * FROM settings',
    );
    expect(command).toBe('CREATE');
    expect((await client.query('SELECT * FROM past')).rows).toEqual([]);
    await client.query('DROP TABLE past');
    await client.end();
  });

  test('of a table of the same name elsewhere is refused', async () => {
    const client = await connectPg(scene.proxy.url);
    await client.query('CREATE SCHEMA other; CREATE TABLE other.made (a int)');
    await client.query('SET search_path = public, other');
    const copy = client.query('CREATE TABLE made AS SELECT * FROM made');
    await expect(copy).rejects.toMatchObject({ code: '0A000' });
    expect((await client.query('CREATE TABLE made AS SELECT * FROM other.made')).rowCount).toBe(0);
    await client.query('DROP TABLE made, other.made; DROP SCHEMA other');
    await client.end();
  });
});

test('SELECT INTO', async () => {
  await same(
    'SELECT id, name INTO made FROM items WHERE id < 5',
    'SELECT * FROM made ORDER BY id',
    'DROP TABLE made',
    'WITH x AS (SELECT count(*) AS n FROM items) SELECT n INTO UNLOGGED TABLE public.made FROM x',
    'SELECT * FROM made',
    'DROP TABLE made',
  );
});

test('materialized views of tables of one unsharded keyspace', async () => {
  await same(
    'CREATE MATERIALIZED VIEW seen AS SELECT key, value FROM settings',
    'CREATE UNIQUE INDEX ON seen (key)',
    `INSERT INTO settings VALUES ('c', '3')`,
    'SELECT * FROM seen ORDER BY key',
    'REFRESH MATERIALIZED VIEW seen',
    'SELECT * FROM seen ORDER BY key',
    'REFRESH MATERIALIZED VIEW CONCURRENTLY seen',
    'SELECT i.name, s.key FROM items i JOIN seen s ON s.value = i.id::text ORDER BY 1',
    'CREATE MATERIALIZED VIEW IF NOT EXISTS seen AS SELECT 1',
    'REFRESH MATERIALIZED VIEW seen WITH NO DATA',
    'SELECT * FROM seen',
    'REFRESH MATERIALIZED VIEW nowhere',
    'INSERT INTO seen VALUES (1, 2)',
    'DROP MATERIALIZED VIEW seen',
  );
  const client = await connectPg(scene.proxy.url);
  const sharded = client.query('CREATE MATERIALIZED VIEW seen AS SELECT * FROM items');
  await expect(sharded).rejects.toMatchObject({ code: '0A000' });
  await client.end();
});

test('an index that is built shard by shard and fails on one of them: the error tells where it is', async () => {
  const client = await connectPg(scene.proxy.url);
  const [key] = (
    await scene.databases.query('s3', 'SELECT id::int FROM items ORDER BY id LIMIT 1')
  )[0]!;
  const build = 'CREATE UNIQUE INDEX CONCURRENTLY built ON items (id, (1 / (length(name) - 2)))';
  // Two characters divide by zero; only this row has so many.
  await client.query(`UPDATE items SET name = 'long ' || id`);
  await client.query(`UPDATE items SET name = 'ab' WHERE id = ${String(key)}`);
  await expect(client.query(build)).rejects.toMatchObject({
    code: '22012',
    hint: expect.stringMatching(
      /^It has been done on \d of 5 shards\. It failed on "s3"\./,
    ) as string,
  });
  await client.query('DROP INDEX CONCURRENTLY IF EXISTS built');
  await client.query(`UPDATE items SET name = 'abc' WHERE id = ${String(key)}`);
  await client.query(build);
  await client.end();
});
