// postgres.js: tagged queries, fragments, transactions, cursors, COPY, pipelined by default.
import postgres from 'postgres';
import { attempt, CLEANUP, customer, fails, say, SCHEMA, URL } from './transcript.mjs';

const sql = postgres(URL, { max: 3, onnotice: () => undefined });
const plain = (result) => [...result];

await attempt('crud', async () => {
  for (const text of SCHEMA) await sql.unsafe(text);
  await sql`INSERT INTO countries ${sql([
    { code: 'de', name: 'Germany' },
    { code: 'fr', name: 'France' },
  ])}`;
  const people = Array.from({ length: 12 }, (_, i) => customer(i + 1));
  for (const person of people.slice(0, 4)) await sql`INSERT INTO customers ${sql(person)}`;
  const done = await sql`INSERT INTO customers ${sql(people.slice(4))}`;
  say('bulk', [done.command, done.count]);
  say('one', plain(await sql`SELECT * FROM customers WHERE id = ${5}`));
  say('ordered', plain(await sql`SELECT id, name FROM customers ORDER BY balance DESC LIMIT ${3}`));
  say('in', plain(await sql`SELECT id FROM customers WHERE id IN ${sql([1, 2, 3])} ORDER BY id`));
  const filter = sql`WHERE country = ${'de'}`;
  say('fragment', plain(await sql`SELECT count(*), sum(balance) FROM customers ${filter}`));
  const change = { name: 'changed', rate: 0.5 };
  say(
    'update',
    plain(await sql`UPDATE customers SET ${sql(change)} WHERE id = 2 RETURNING id, name, rate`),
  );
  const columns = await sql`SELECT * FROM customers WHERE id = 1`;
  say(
    'columns',
    columns.columns.map(({ name, type }) => [name, type]),
  );
  const described = await sql`SELECT id, name FROM customers WHERE id = ${1}`.describe();
  say('described', [described.types, described.columns.map(({ name, type }) => [name, type])]);
  say(
    'values',
    plain(await sql`SELECT id, active FROM customers WHERE id < 4 ORDER BY id`.values()),
  );
  say('simple', plain(await sql`SELECT id FROM customers WHERE id = 3`.simple()));
});
await attempt('transactions', async () => {
  const result = await sql.begin(async (tx) => {
    await tx`INSERT INTO orders ${sql([
      { id: 1, customer_id: 1 },
      { id: 1, customer_id: 2 },
    ])}`;
    await tx
      .savepoint(async (inner) => {
        await inner`DELETE FROM orders`;
        throw new Error('back');
      })
      .catch(() => undefined);
    return tx`SELECT count(*) FROM orders`;
  });
  say('inside', plain(result));
  await sql.begin((tx) =>
    [3, 4, 5].map((c) => tx`INSERT INTO orders (id, customer_id) VALUES (1, ${c})`),
  );
  say('pipelined', plain(await sql`SELECT customer_id FROM orders ORDER BY customer_id`));
  await fails('unique', () => sql`INSERT INTO customers (id, name) VALUES (1, 'x')`);
  await fails('syntax', () => sql`SELEC 1`);
  await fails('division', () => sql`SELECT 1 / (id - 4) FROM customers ORDER BY id`);
  await fails('failed', () =>
    sql.begin(async (tx) => {
      await tx`DELETE FROM orders`;
      await tx`SELECT nope`;
    }),
  );
  say('kept', plain(await sql`SELECT count(*) FROM orders`));
});
await attempt('at once', async () => {
  const all = [1, 2, 3, 4, 5, 6, 7, 8].map(
    (id) => sql`SELECT id, name FROM customers WHERE id = ${id}`,
  );
  say('many', (await Promise.all(all)).map(plain));
  const query = sql`SELECT pg_sleep(10)`;
  setTimeout(() => query.cancel(), 300);
  await fails('cancelled', () => query);
});
await attempt('cursors', async () => {
  const seen = [];
  await sql`SELECT id FROM customers ORDER BY id`.cursor(5, (part) =>
    seen.push(part.map((row) => row.id)),
  );
  say('cursor', seen);
  const each = [];
  await sql`SELECT id FROM customers ORDER BY id`.forEach((row) => each.push(row.id));
  say('each', each);
});
await attempt('copies', async () => {
  const writable = await sql`COPY customers (id, name) FROM STDIN`.writable();
  for (let id = 100; id < 150; id++) writable.write(`${id}\tcopied\n`);
  await new Promise((resolve) => writable.end(resolve));
  const readable = await sql`COPY (SELECT id FROM customers WHERE id = 120) TO STDOUT`.readable();
  say('out', Buffer.concat(await readable.toArray()).toString());
});
await sql.unsafe(CLEANUP);
await sql.end();
