import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

/* Each scenario is run on the proxy and on one Postgres; what it returns must be equal. */
let scene: Scene;

beforeAll(async () => {
  scene = await openScene(
    'drivers',
    { main: { settings: {} }, shop: { people: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE people (id int8 PRIMARY KEY, name text, born date, score numeric, tags text[], data jsonb)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
    ],
  );
});
afterAll(async () => {
  await scene.close();
});

async function expectEqualRuns(scenario: (url: string) => Promise<unknown>): Promise<void> {
  const [ours, theirs] = await Promise.all([
    scenario(scene.proxy.url),
    scenario(scene.databases.urls.oracle),
  ]);
  expect(ours).toEqual(theirs);
}

test('node pg: values of many types, prepared statements, transactions, errors', async () => {
  await expectEqualRuns(async (url) => {
    const client = await connectPg(url, { statement_timeout: 10_000, application_name: 'app' });
    const seen: unknown[] = [];
    const insert = {
      name: 'insert-person',
      text: 'INSERT INTO people VALUES ($1, $2, $3, $4, $5, $6) RETURNING *',
    };
    for (let id = 1; id <= 12; id++) {
      const values = [
        id,
        `name ${id}`,
        '1990-01-31',
        1.5 * id,
        ['a', `"${id}"`],
        { id, deep: [null] },
      ];
      seen.push((await client.query({ ...insert, values })).rows);
    }
    const byId = { name: 'by-id', text: 'SELECT * FROM people WHERE id = $1' };
    for (const id of [1, 2, 3, 99]) seen.push((await client.query({ ...byId, values: [id] })).rows);
    seen.push(
      (
        await client.query('SELECT id, name FROM people WHERE id = ANY($1) AND score > $2', [
          [3, 4, 5],
          5,
        ])
      ).rows.sort(byIdOf),
    );
    await client.query('BEGIN');
    await client.query('UPDATE people SET name = $1 WHERE id = $2', ['changed', 1]);
    seen.push((await client.query('SELECT name FROM people WHERE id = 1')).rows);
    await client.query('ROLLBACK');
    seen.push((await client.query('SELECT name FROM people WHERE id = 1')).rows);
    for (const bad of ['SELECT nope', 'INSERT INTO people (id) VALUES (1)']) {
      seen.push(
        await client.query(bad).catch((error: pg.DatabaseError) => [error.code, error.message]),
      );
    }
    seen.push((await client.query('SHOW statement_timeout')).rows);
    await client.end();
    return seen;
  });
});

test('node pg: a pool with many queries at once', async () => {
  await expectEqualRuns(async (url) => {
    const pool = new pg.Pool({ connectionString: url, max: 8 });
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const { rows } = await pool.query('SELECT $1::int AS i, name FROM people WHERE id = $2', [
          i,
          (i % 12) + 1,
        ]);
        return rows[0] as unknown;
      }),
    );
    await pool.end();
    return answers;
  });
});

test('pg-cursor: reads in pieces, closes early, and another query follows', async () => {
  await expectEqualRuns(async (url) => {
    const client = await connectPg(url);
    const seen: unknown[] = [];
    await client.query('BEGIN');
    const cursor = client.query(
      new Cursor(
        'SELECT id FROM people WHERE id = $1 UNION ALL SELECT g FROM generate_series(1, 50) g',
        [7],
      ),
    );
    seen.push(await cursor.read(10), await cursor.read(10));
    await cursor.close();
    await client.query('COMMIT');
    const whole = client.query(new Cursor('SELECT id, name FROM people WHERE id = $1', [7]));
    seen.push(await whole.read(5), await whole.read(5));
    await whole.close();
    seen.push((await client.query('SELECT 1 AS one')).rows);
    await client.end();
    return seen;
  });
});

test('pg-copy-streams: rows in and out', async () => {
  await expectEqualRuns(async (url) => {
    const client = await connectPg(url);
    const lines = Array.from({ length: 2000 }, (_, i) => `${1000 + i}\tcopied ${i}\n`);
    await pipeline(
      Readable.from(lines),
      client.query(copyFrom('COPY people (id, name) FROM STDIN')),
    );
    const chunks: Buffer[] = [];
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        chunks.push(chunk);
        done();
      },
    });
    await pipeline(client.query(copyTo('COPY people (id, name) TO STDOUT')), sink);
    const out = Buffer.concat(chunks).toString().split('\n').sort();
    const { rows } = await client.query('SELECT count(*) FROM people');
    await client.end();
    return [out, rows];
  });
});

test('postgres.js: tagged queries, transactions, fragments, cursors, errors', async () => {
  await expectEqualRuns(async (url) => {
    const sql = postgres(url, { max: 3, onnotice: () => undefined });
    const seen: unknown[] = [];
    seen.push([...(await sql`SELECT * FROM people WHERE id = ${3}`)]);
    seen.push([...(await sql`SELECT id FROM people WHERE id IN ${sql([1, 2, 3])}`)].sort(byIdOf));
    seen.push([...(await sql`SELECT id FROM people WHERE id = ANY(${[4, 5]})`)].sort(byIdOf));
    const rows = [
      { id: 5001, name: 'x' },
      { id: 5002, name: 'y' },
      { id: 5003, name: null },
    ];
    seen.push((await sql`INSERT INTO people ${sql(rows, 'id', 'name')}`).count);
    await sql.begin(async (tx) => {
      await tx`UPDATE people SET name = ${'in transaction'} WHERE id = 5001`;
      seen.push([...(await tx`SELECT name FROM people WHERE id = 5001`)]);
      await tx
        .savepoint(async (inner) => {
          await inner`DELETE FROM people WHERE id = 5001`;
          throw new Error('back');
        })
        .catch(() => undefined);
      seen.push([...(await tx`SELECT name FROM people WHERE id = 5001`)]);
    });
    await sql`SELECT nope`.catch((error: postgres.PostgresError) =>
      seen.push([error.code, error.message]),
    );
    const pieces: number[] = [];
    await sql`SELECT generate_series(1, 25) AS n`.cursor(10, (part) => {
      pieces.push(part.length);
    });
    seen.push(pieces);
    seen.push(
      await Promise.all(
        [1, 2, 3, 4, 5, 6].map(async (id) => [
          ...(await sql`SELECT name FROM people WHERE id = ${id}`),
        ]),
      ),
    );
    seen.push([...(await sql.unsafe('SELECT 1 AS a; SELECT 2 AS b'))]);
    await sql.end();
    return seen;
  });
});

function byIdOf(a: Record<string, unknown>, b: Record<string, unknown>): number {
  return Number(a['id']) - Number(b['id']);
}
