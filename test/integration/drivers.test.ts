import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

let scene: Scene;

beforeAll(async () => {
  scene = await openScene('drivers', { main: {}, shop: { items: { shard_key: 'id' } } }, [
    'CREATE TABLE items (id int8 PRIMARY KEY, name text, price numeric, tags text[], made timestamptz)',
  ]);
});
afterAll(async () => {
  await scene.close();
});

/** Runs the same story against the proxy and the oracle; both must tell the same. */
async function same(story: (url: string) => Promise<unknown>): Promise<void> {
  await scene.comparison.both('TRUNCATE items');
  const [ours, theirs] = [await story(scene.proxy.url), await story(scene.databases.urls.oracle)];
  expect(ours).toEqual(theirs);
}

describe('pg', () => {
  test('parameters, named statements, transactions and errors', async () => {
    await same(async (url) => {
      const client = await connectPg(url);
      const told: unknown[] = [];
      for (let id = 1; id <= 8; id++) {
        const insert = {
          name: 'insert',
          text: 'INSERT INTO items VALUES ($1, $2, $3, $4, $5)',
          values: [id, `n${id}`, '12.50', ['a', 'b'], new Date(86_400_000 * id)],
        };
        told.push((await client.query(insert)).rowCount);
      }
      told.push((await client.query('SELECT * FROM items WHERE id = $1', [3])).rows);
      const many = await client.query<{ id: string }>('SELECT id FROM items WHERE id = ANY($1)', [
        [1, 2, 5, 99],
      ]);
      told.push(many.rows.map((row) => row.id).sort());
      told.push((await client.query('SELECT count(*) FROM items')).rows);
      await client.query('BEGIN');
      told.push(
        (await client.query('UPDATE items SET name = $1 WHERE id = $2', ['x', 4])).rowCount,
      );
      const failure = await client.query('SELECT 1/0').catch((error: unknown) => error);
      told.push((failure as pg.DatabaseError).code);
      told.push((await client.query('ROLLBACK')).command);
      told.push((await client.query('SELECT name FROM items WHERE id = 4')).rows);
      await client.end();
      return told;
    });
  });

  test('a pool of clients, each with statements of its own, over fewer backends', async () => {
    const pool = new pg.Pool({ connectionString: scene.proxy.url, max: 12 });
    await scene.comparison.both('TRUNCATE items');
    const ids = Array.from({ length: 60 }, (_, i) => i + 1);
    await Promise.all(
      ids.map((id) =>
        pool.query({
          name: `insert${id % 7}`,
          text: `INSERT INTO items (id, name) VALUES ($1, 'kind ${id % 7}')`,
          values: [id],
        }),
      ),
    );
    const rows = await Promise.all(
      ids.map((id) => pool.query<{ name: string }>('SELECT name FROM items WHERE id = $1', [id])),
    );
    expect(rows.map(({ rows: [row] }) => row?.name)).toEqual(ids.map((id) => `kind ${id % 7}`));
    await pool.end();
  });

  test('a cursor reads a portal piece by piece', async () => {
    await same(async (url) => {
      const client = await connectPg(url);
      const cursor = client.query(
        new Cursor('SELECT g FROM generate_series(1, 25) g WHERE g > $1', [2]),
      );
      const sizes: number[] = [];
      for (;;) {
        const rows = await cursor.read(10);
        sizes.push(rows.length);
        if (rows.length === 0) break;
      }
      await cursor.close();
      await client.end();
      return sizes;
    });
  });

  test('COPY in and out through streams', async () => {
    await same(async (url) => {
      const client = await connectPg(url);
      const lines = Array.from({ length: 500 }, (_, i) => `${i}\tname ${i}\t${i}.5\t{x,y}\t\\N\n`);
      const input = client.query(copyFrom('COPY items FROM STDIN'));
      await pipeline(Readable.from(lines), input);
      const chunks: Buffer[] = [];
      const output = client.query(copyTo('COPY items TO STDOUT'));
      for await (const chunk of output) chunks.push(chunk as Buffer);
      await client.end();
      return Buffer.concat(chunks).toString().split('\n').sort();
    });
  });
});

describe('postgres.js', () => {
  test('queries, transactions, types and errors', async () => {
    await same(async (url) => {
      const sql = postgres(url, { max: 3, onnotice: () => undefined });
      const told: unknown[] = [];
      const rows = [1, 2, 3, 4].map((id) => ({ id, name: `n${id}`, price: '1.5' }));
      for (const row of rows) await sql`INSERT INTO items ${sql(row, 'id', 'name', 'price')}`;
      told.push(await sql`SELECT id, name FROM items WHERE id = ${2}`);
      const many = await sql<{ id: string }[]>`SELECT id FROM items WHERE id IN ${sql([1, 3, 9])}`;
      told.push(many.map((row) => row.id).sort());
      told.push(
        await sql.begin(async (tx) => {
          await tx`UPDATE items SET name = ${'changed'} WHERE id = ${3}`;
          return tx`SELECT name FROM items WHERE id = ${3}`;
        }),
      );
      const failed = await sql`SELECT ${'x'}::int`.catch((error: unknown) => error);
      told.push((failed as postgres.PostgresError).code);
      told.push(await sql`SELECT ${sql.json({ a: [1, null] })}::jsonb AS j`);
      told.push(
        await Promise.all([1, 2, 3, 4].map((id) => sql`SELECT name FROM items WHERE id = ${id}`)),
      );
      await sql.end({ timeout: 2 });
      return JSON.parse(JSON.stringify(told)) as unknown;
    });
  });
});
