// node-postgres with pg-cursor, pg-query-stream and pg-copy-streams.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from, to } from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';
import { attempt, CLEANUP, customer, fails, say, SCHEMA, URL } from './transcript.mjs';

const pool = new pg.Pool({ connectionString: URL, max: 3, application_name: 'pg app' });
const rows = async (text, values) => (await pool.query(text, values)).rows;

await attempt('crud', async () => {
  for (const sql of SCHEMA) await pool.query(sql);
  await pool.query("INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')");
  const marks = Object.keys(customer(1)).map((_, i) => `$${i + 1}`);
  for (let key = 1; key <= 12; key++) {
    const text = `INSERT INTO customers VALUES (${marks}) RETURNING id, seen`;
    say('inserted', await rows(text, Object.values(customer(key))));
  }
  say('one', await rows('SELECT * FROM customers WHERE id = $1', [5]));
  const result = await pool.query('SELECT * FROM customers ORDER BY id DESC LIMIT 2');
  // Tables have other OIDs on another server.
  say(
    'fields',
    result.fields.map((field) => ({ ...field, tableID: field.tableID > 0 })),
  );
  say('result', [result.command, result.rowCount, result.rows]);
  const arrays = { text: 'SELECT id, name FROM customers ORDER BY id', rowMode: 'array' };
  say('arrays', (await pool.query(arrays)).rows);
  say('any', await rows('SELECT id FROM customers WHERE id = ANY($1) ORDER BY id', [[2, 3, 4]]));
  const grouped =
    'SELECT country, count(*), sum(balance), avg(balance) FROM customers GROUP BY 1 ORDER BY 1';
  say('grouped', await rows(grouped));
  say(
    'script',
    (await pool.query('SELECT 1 AS a; SELECT count(*) FROM customers')).map((r) => r.rows),
  );
});
await attempt('bulk', async () => {
  const orders = Array.from({ length: 24 }, (_, i) => [
    1 + (i % 2),
    1 + (i >> 1),
    `item ${i}`,
    i + 1,
  ]);
  const places = orders.map(
    (_, i) => `($${4 * i + 1}, $${4 * i + 2}, $${4 * i + 3}, $${4 * i + 4})`,
  );
  const done = await pool.query(`INSERT INTO orders VALUES ${places.join(', ')}`, orders.flat());
  say('bulk', [done.command, done.rowCount]);
});
await attempt('insert select', async () => {
  const columns = [
    [50, 51, 52],
    [1, 2, 3],
  ];
  const unnest =
    'INSERT INTO orders (id, customer_id) SELECT * FROM unnest($1::int8[], $2::int8[])';
  say('unnest', (await pool.query(unnest, columns)).rowCount);
});
await attempt('bulk returning', async () => {
  const text =
    'INSERT INTO orders (id, customer_id) VALUES (60, 1), (60, 2), (60, 3) RETURNING customer_id';
  say('returned', (await rows(text)).map((row) => row.customer_id).sort());
});
await attempt('prepared', async () => {
  const client = await pool.connect();
  for (let key = 1; key <= 6; key++) {
    const named = {
      name: 'by key',
      text: 'SELECT name FROM customers WHERE id = $1',
      values: [key],
    };
    say('named', (await client.query(named)).rows);
    const all = {
      name: 'above',
      text: 'SELECT id FROM customers WHERE id > $1 ORDER BY id',
      values: [key],
    };
    say('all', (await client.query(all)).rows.length);
  }
  client.release();
});
await attempt('transactions', async () => {
  const client = await pool.connect();
  await client.query('BEGIN');
  await client.query("UPDATE customers SET name = 'inside' WHERE id < 4");
  await client.query('SAVEPOINT a');
  await fails('unique', () => client.query("INSERT INTO customers (id, name) VALUES (1, 'x')"));
  await fails('after it', () => client.query('SELECT 1'));
  await client.query('ROLLBACK TO a');
  await client.query('COMMIT');
  client.release();
  say('kept', await rows("SELECT count(*) FROM customers WHERE name = 'inside'"));
  await fails('foreign', () =>
    rows("INSERT INTO customers (id, name, country) VALUES (90, 'x', 'xx')"),
  );
  await fails('syntax', () => rows('SELEC 1'));
  await fails('column', () => rows('SELECT nope FROM customers'));
  await fails('number', () => rows('SELECT * FROM customers WHERE id = $1', ['x']));
  await fails('division', () => rows('SELECT 1 / (id - 4) FROM customers ORDER BY id'));
  await fails('timeout', async () => {
    const short = new pg.Client({ connectionString: URL, statement_timeout: 200 });
    await short.connect();
    try {
      await short.query('SELECT pg_sleep(5)');
    } finally {
      await short.end();
    }
  });
});
await attempt('cursors', async () => {
  const client = await pool.connect();
  const cursor = client.query(new Cursor('SELECT id FROM customers ORDER BY id'));
  say('read', [await cursor.read(3), await cursor.read(100), await cursor.read(1)]);
  await cursor.close();
  const stream = client.query(
    new QueryStream('SELECT id, name FROM customers ORDER BY id', [], { batchSize: 5 }),
  );
  const seen = [];
  for await (const row of stream) seen.push(row.id);
  say('stream', seen);
  client.release();
});
await attempt('copies', async () => {
  const client = await pool.connect();
  const lines = Array.from({ length: 200 }, (_, i) => `${100 + i}\tcopied ${i}\n`);
  await pipeline(Readable.from(lines), client.query(from('COPY customers (id, name) FROM STDIN')));
  const chunks = await client.query(to('COPY customers (id, name) TO STDOUT')).toArray();
  say('out', Buffer.concat(chunks).toString().split('\n').sort().slice(0, 20));
  client.release();
  say('count', await rows('SELECT count(*) FROM customers'));
});
await attempt('many at once', async () => {
  const names = Array.from({ length: 40 }, (_, i) =>
    rows('SELECT id FROM customers WHERE id = $1', [1 + (i % 12)]),
  );
  say(
    'ids',
    (await Promise.all(names)).map(([row]) => row.id),
  );
});
await pool.query(CLEANUP);
await pool.end();
