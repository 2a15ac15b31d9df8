import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { connectPg, misplacedRows, openScene, type Scene } from '../support/scene.js';

/*
 * INSERT whose rows travel, and are more than limits.gather_memory: they are read and written in turns. What the
 * statement sees, gives and leaves is what one Postgres says.
 */

const MANY = 40_000;

let scene: Scene;

beforeAll(async () => {
  scene = await openScene(
    'insert_turns',
    {
      main: { notes: {} },
      shop: {
        items: { shard_key: 'id', vindex: 'by_key' },
        moved: { shard_key: 'k', vindex: 'by_key' },
        nodes: { shard_key: 'tree', vindex: 'by_key' },
        regions: { type: 'reference' },
      },
    },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text, n int4)',
      'CREATE TABLE moved (k int8, id int8, name text, PRIMARY KEY (k, id))',
      `CREATE TABLE nodes (tree int4, id int4, parent int4, PRIMARY KEY (tree, id),
         FOREIGN KEY (tree, parent) REFERENCES nodes (tree, id))`,
      'CREATE TABLE notes (id int8 PRIMARY KEY, body text)',
      'CREATE TABLE regions (id int8 PRIMARY KEY, label text)',
    ],
    { limits: { gather_memory: '1MB' } },
  );
  await scene.comparison.expectSame(
    `INSERT INTO items SELECT g, 'name of item ' || g, g % 10 FROM generate_series(1, ${MANY}) g`,
  );
});
afterEach(async () => {
  await scene.comparison.both('ROLLBACK');
});
afterAll(async () => {
  expect(await misplacedRows(scene.databases, 'items', 'id', 'hashint8extended')).toEqual([]);
  expect(await misplacedRows(scene.databases, 'moved', 'k', 'hashint8extended')).toEqual([]);
  await scene.close();
});

async function same(sql: string, params?: readonly unknown[]): Promise<void> {
  await scene.comparison.expectSame(sql, params);
}

const LOOKS = {
  items: 'SELECT count(*), sum(id), max(name), sum(n) FROM items',
  moved: 'SELECT count(*), sum(k), sum(id), max(name) FROM moved',
  notes: 'SELECT count(*), sum(id), max(body) FROM notes',
  regions: 'SELECT count(*), sum(id), max(label) FROM regions',
};

/** A statement in a transaction that is rolled back, and what it leaves in a table. */
async function sameInside(sql: string, table: keyof typeof LOOKS): Promise<void> {
  await same('BEGIN');
  await same(sql);
  await same(LOOKS[table]);
  await same('ROLLBACK');
}

test('more rows than the bound of memory go to the shards of their new keys', async () => {
  await sameInside('INSERT INTO moved SELECT n * 1000 + id % 7, id, name FROM items', 'moved');
  await same('INSERT INTO moved SELECT id * 3, n, name FROM items WHERE n < $1', [8]);
  await same(LOOKS.moved);
  await same('DELETE FROM moved');
});

test('a source that reads its own target sees none of the new rows', async () => {
  await sameInside(`INSERT INTO items SELECT id + ${MANY}, name, n FROM items`, 'items');
  await sameInside(
    `INSERT INTO items SELECT a.id + ${MANY}, b.name, 1 FROM items a JOIN items b ON b.id = 6001 - a.id WHERE a.id < 6001 AND b.id < 6001`,
    'items',
  );
});

test('sorted, cut, aggregated and gathered sources, and those of one shard', async () => {
  await sameInside(
    `INSERT INTO moved SELECT n, id, name FROM items ORDER BY name, id LIMIT ${MANY - 10} OFFSET 5`,
    'moved',
  );
  await sameInside(
    'INSERT INTO moved SELECT min(id), count(*), name FROM items WHERE id < 9000 GROUP BY name',
    'moved',
  );
  await sameInside(
    `INSERT INTO moved SELECT g, g % 5, 'of a series' FROM generate_series(1, ${MANY}) g`,
    'moved',
  );
});

test('into tables of another keyspace and every copy of a reference table', async () => {
  await sameInside('INSERT INTO notes SELECT id, name FROM items', 'notes');
  await sameInside('INSERT INTO regions SELECT id, name FROM items', 'regions');
});

test('RETURNING gives the rows of every turn, DO NOTHING leaves out those that are met twice', async () => {
  await same('BEGIN');
  await same('INSERT INTO moved SELECT id % 3000, n, name FROM items WHERE id <= 3000');
  await same(
    `INSERT INTO moved SELECT id % 20000, n, 'second' FROM items ON CONFLICT DO NOTHING RETURNING k, id, name`,
  );
  await same(LOOKS.moved);
  await same('ROLLBACK');
  await same(`INSERT INTO moved SELECT id, n FROM items WHERE id < 0 RETURNING k`);
});

test('an error in a late turn undoes the early ones, and leaves the transaction as it should be', async () => {
  const late = `INSERT INTO moved SELECT CASE WHEN id = ${MANY} THEN NULL ELSE id + 1 END, 1, name FROM items ORDER BY id`;
  const twice = `INSERT INTO moved SELECT id % ${MANY - 1}, 1, name FROM items ORDER BY id`;
  const divided = `INSERT INTO moved SELECT id + 1, 10 / (${MANY} - id), name FROM items ORDER BY id`;
  const client = await connectPg(scene.proxy.url);
  for (const [sql, code] of [
    [late, '0A000'],
    [twice, '23505'],
    [divided, '22012'],
  ] as const) {
    await expect(client.query(sql), sql).rejects.toMatchObject({ code });
    await client.query('BEGIN; SAVEPOINT s');
    await expect(client.query(sql), sql).rejects.toMatchObject({ code });
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
    await client.query('ROLLBACK TO s');
    expect((await client.query('SELECT count(*) AS n FROM moved')).rows).toEqual([{ n: '0' }]);
    await client.query("INSERT INTO moved VALUES (1, 1, 'x'), (2, 2, 'x'), (3, 3, 'x')");
    await client.query('ROLLBACK');
  }
  await client.end();
});

test('what must be one statement is one: rows that refer to each other, and DO UPDATE', async () => {
  await same(
    `INSERT INTO nodes SELECT g % 5, g / 5, CASE WHEN g / 5 < 600 THEN g / 5 + 1 END
       FROM generate_series(0, 3004) g WHERE g % 5 + 1 > 0`,
  );
  await same('SELECT count(*), sum(parent) FROM nodes');
  const client = await connectPg(scene.proxy.url);
  await expect(
    client.query(
      'INSERT INTO moved SELECT id % 9, 1, name FROM items ON CONFLICT (k, id) DO UPDATE SET name = excluded.name',
    ),
  ).rejects.toMatchObject({ code: '53200' });
  await client.end();
});
