// Kysely: schema builder, typed queries, transactions, introspection, streaming.
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import Cursor from 'pg-cursor';
import { attempt, CLEANUP, customer, fails, say, URL } from './transcript.mjs';

const pool = new pg.Pool({ connectionString: URL, max: 3 });
const db = new Kysely({ dialect: new PostgresDialect({ pool, cursor: Cursor }) });

await attempt('schema', async () => {
  await sql`DROP TABLE IF EXISTS orders, customers, countries, notes`.execute(db);
  await db.schema
    .createTable('countries')
    .addColumn('code', 'text', (c) => c.primaryKey())
    .addColumn('name', 'text')
    .execute();
  await db.schema
    .createTable('customers')
    .addColumn('id', 'bigint', (c) => c.primaryKey())
    .addColumn('name', 'varchar(40)', (c) => c.notNull())
    .addColumn('country', 'text', (c) => c.references('countries.code'))
    .addColumn('born', 'date')
    .addColumn('seen', 'timestamptz')
    .addColumn('balance', 'numeric(12, 2)', (c) => c.defaultTo(0))
    .addColumn('rate', 'float8')
    .addColumn('active', 'boolean')
    .addColumn('token', 'uuid')
    .addColumn('photo', 'bytea')
    .addColumn('tags', sql`text[]`)
    .addColumn('data', 'jsonb')
    .execute();
  await db.schema
    .createTable('orders')
    .addColumn('id', 'bigint')
    .addColumn('customer_id', 'bigint', (c) => c.references('customers.id'))
    .addColumn('amount', 'numeric(10, 2)')
    .addPrimaryKeyConstraint('orders_key', ['customer_id', 'id'])
    .execute();
  await db.schema
    .createTable('notes')
    .addColumn('id', 'serial', (c) => c.primaryKey())
    .addColumn('body', 'text')
    .execute();
  await db.schema.createIndex('customers_name').on('customers').column('name').execute();
  const tables = await db.introspection.getTables();
  const ours = tables.filter(({ name }) => ['customers', 'orders', 'notes'].includes(name));
  say(
    'tables',
    ours.map(({ name, columns }) => [name, columns.map((c) => [c.name, c.dataType, c.isNullable])]),
  );
});
await attempt('crud', async () => {
  await db
    .insertInto('countries')
    .values([
      { code: 'de', name: 'Germany' },
      { code: 'fr', name: 'France' },
    ])
    .execute();
  await db.insertInto('customers').values([1, 2, 3, 4, 5, 6, 7, 8].map(customer)).execute();
  say(
    'returning',
    await db
      .insertInto('customers')
      .values(customer(9))
      .returning(['id', 'name'])
      .executeTakeFirst(),
  );
  say('one', await db.selectFrom('customers').selectAll().where('id', '=', 3).executeTakeFirst());
  say(
    'ordered',
    await db
      .selectFrom('customers')
      .select(['id', 'name'])
      .orderBy('balance', 'desc')
      .limit(3)
      .execute(),
  );
  const total = (e) => ['country', e.fn.countAll().as('n'), e.fn.sum('balance').as('total')];
  say(
    'grouped',
    await db.selectFrom('customers').select(total).groupBy('country').orderBy('country').execute(),
  );
  await db
    .insertInto('orders')
    .values([1, 2, 3].map((c) => ({ id: 1, customer_id: c, amount: c })))
    .execute();
  say(
    'join',
    await db
      .selectFrom('customers as c')
      .innerJoin('orders as o', 'o.customer_id', 'c.id')
      .select(['c.name', 'o.amount'])
      .where('c.id', 'in', [1, 2])
      .orderBy('o.amount')
      .execute(),
  );
  say(
    'left',
    await db
      .selectFrom('customers as c')
      .leftJoin('orders as o', 'o.customer_id', 'c.id')
      .select(['c.id', 'o.id as order'])
      .orderBy('c.id')
      .limit(5)
      .execute(),
  );
  say(
    'update',
    await db.updateTable('customers').set({ rate: 2 }).where('id', '>', 4).executeTakeFirst(),
  );
  say(
    'upsert',
    await db
      .insertInto('customers')
      .values(customer(1))
      .onConflict((c) => c.column('id').doUpdateSet({ name: 'again' }))
      .returning('name')
      .execute(),
  );
  say('serial', await db.insertInto('notes').values({ body: 'a' }).returning('id').execute());
  say('delete', await db.deleteFrom('orders').where('customer_id', '=', 3).executeTakeFirst());
});
await attempt('transactions', async () => {
  await fails('undone', () =>
    db.transaction().execute(async (tx) => {
      await tx.deleteFrom('orders').execute();
      await tx.insertInto('customers').values(customer(1)).execute();
    }),
  );
  say(
    'kept',
    await db
      .selectFrom('orders')
      .select((e) => e.fn.countAll().as('n'))
      .execute(),
  );
  await db
    .transaction()
    .setIsolationLevel('serializable')
    .execute(async (tx) => {
      say(
        'serializable',
        await tx.selectFrom('customers').select('name').where('id', '=', 2).execute(),
      );
    });
});
await attempt('streams', async () => {
  const seen = [];
  for await (const row of db.selectFrom('customers').select('id').orderBy('id').stream(4))
    seen.push(row.id);
  say('stream', seen);
});
await sql.raw(CLEANUP).execute(db);
await db.destroy();
