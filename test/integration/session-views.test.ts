/* What a session has prepared and declared, as the views of one Postgres show it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

let scene: Scene;

beforeAll(async () => {
  scene = await openScene(
    'session_views',
    { main: { notes: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text)',
      'CREATE TABLE notes (id int PRIMARY KEY)',
      `INSERT INTO items SELECT i, 'n' || i FROM generate_series(1, 9) i`,
    ],
  );
});
afterAll(() => scene.close());

async function same(...queries: readonly string[]): Promise<void> {
  for (const sql of queries) await scene.comparison.expectSame(sql);
}

describe('pg_prepared_statements', () => {
  test('what PREPARE has made, with its own text, until it is deallocated', async () => {
    await same(
      'SELECT count(*) FROM pg_prepared_statements',
      'PREPARE one AS SELECT * FROM items WHERE id = $1',
      `PREPARE "Two" (text, int) AS SELECT name, 'it''s' FROM items WHERE name = $1 AND id > $2`,
      'PREPARE three AS INSERT INTO notes VALUES ($1); ',
      'SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY 1',
      `SELECT p.name FROM pg_catalog.pg_prepared_statements p WHERE statement LIKE '%items%' ORDER BY name`,
      `SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'one') AS there`,
      'SELECT prepare_time <= now() AS past, pg_typeof(prepare_time) FROM pg_prepared_statements LIMIT 1',
      'SELECT i.id, s.name FROM items i JOIN pg_prepared_statements AS s ON length(s.name) = i.id ORDER BY 1, 2',
      'WITH s AS (SELECT name FROM pg_prepared_statements) SELECT * FROM s ORDER BY 1',
      'DEALLOCATE one',
      'SELECT name FROM pg_prepared_statements ORDER BY 1',
      'DEALLOCATE ALL',
      'SELECT name FROM pg_prepared_statements',
    );
  });

  test('what Parse has made, this statement included', async () => {
    const rows = await Promise.all(
      [scene.proxy.url, scene.databases.urls.oracle].map(async (url) => {
        const client = await connectPg(url);
        await client.query({
          name: 'byid',
          text: 'SELECT name FROM items WHERE id = $1',
          values: [4],
        });
        const own = {
          name: 'own',
          text: 'SELECT name, statement, from_sql FROM pg_prepared_statements WHERE name <> $1 ORDER BY name',
        };
        const first = await client.query({ ...own, values: ['x'] });
        const second = await client.query({ ...own, values: ['own'] });
        await client.end();
        return [first.rows, second.rows];
      }),
    );
    expect(rows[0]).toEqual(rows[1]);
    expect(rows[0]![0]).toHaveLength(2);
  });

  test('columns that a server session alone would know are refused', async () => {
    for (const sql of [
      'SELECT * FROM pg_prepared_statements',
      'TABLE pg_prepared_statements',
      'SELECT p.generic_plans FROM pg_prepared_statements p',
      'SELECT p FROM pg_prepared_statements p',
      'SELECT name FROM pg_prepared_statements p (name)',
    ]) {
      await scene.comparison.expectRefused(sql);
    }
  });
});

describe('pg_cursors', () => {
  const columns = 'name, statement, is_holdable, is_binary';

  test('those of a transaction, on one shard and on several', async () => {
    await same(
      'SELECT * FROM pg_cursors',
      'BEGIN',
      'DECLARE one CURSOR FOR SELECT * FROM items WHERE id = 3',
      `DECLARE "Many" BINARY CURSOR FOR SELECT * FROM items ORDER BY 1; `,
      `SELECT ${columns} FROM pg_cursors ORDER BY name`,
      'FETCH 2 FROM one',
      'CLOSE one',
      'SAVEPOINT a',
      'DECLARE late NO SCROLL CURSOR FOR SELECT * FROM items',
      `SELECT name FROM pg_cursors c ORDER BY name`,
      'ROLLBACK TO a',
      `SELECT ${columns}, creation_time <= clock_timestamp() FROM pg_cursors ORDER BY name`,
      'COMMIT',
      `SELECT ${columns} FROM pg_cursors`,
    );
  });

  test('those that scroll, or outlive their transaction', async () => {
    await same(
      'BEGIN',
      'DECLARE h SCROLL CURSOR WITH HOLD FOR SELECT id FROM items ORDER BY id',
      'DECLARE s SCROLL CURSOR FOR SELECT id FROM items ORDER BY id',
      `SELECT ${columns}, is_scrollable FROM pg_cursors ORDER BY 1`,
      'COMMIT',
      `SELECT ${columns}, is_scrollable FROM pg_cursors`,
      'CLOSE h',
      'SELECT count(*) FROM pg_cursors',
    );
  });

  test('in the extended protocol the portal of the query itself is one', async () => {
    await scene.comparison.expectSame(
      `SELECT ${columns}, is_scrollable FROM pg_cursors WHERE name <> $1`,
      ['x'],
    );
  });

  test('whether a cursor scrolls that does not say so is refused', async () => {
    await same('BEGIN', 'DECLARE plain CURSOR FOR SELECT * FROM items');
    await scene.comparison.expectRefused('SELECT * FROM pg_cursors');
    await scene.comparison.both('ROLLBACK');
  });
});
