// Knex: migrations, the query builder, batch inserts, transactions, streams.
import knex from 'knex';
import { attempt, customer, fails, say, URL } from './transcript.mjs';

const db = knex({ client: 'pg', connection: URL, pool: { min: 0, max: 3 } });
const TABLES = [
  'orders',
  'customers',
  'countries',
  'notes',
  'knex_migrations',
  'knex_migrations_lock',
];
const clean = () => db.raw(`DROP TABLE IF EXISTS ${TABLES.join(', ')} CASCADE`);

const migrations = {
  getMigrations: async () => ['1_shop', '2_more'],
  getMigrationName: (name) => name,
  getMigration: async (name) =>
    name === '1_shop' ? { up: shop, down: drop } : { up: more, down: less },
};
async function shop(db) {
  await db.schema.createTable('countries', (t) => {
    t.string('code', 2).primary();
    t.string('name').notNullable();
  });
  await db.schema.createTable('customers', (t) => {
    t.bigint('id').primary();
    t.string('name', 40).notNullable().index();
    t.string('country').references('countries.code');
    t.date('born');
    t.timestamp('seen');
    t.decimal('balance', 12, 2).defaultTo(0);
    t.double('rate');
    t.boolean('active');
    t.uuid('token');
    t.binary('photo');
    t.specificType('tags', 'text[]');
    t.jsonb('data');
  });
  await db.schema.createTable('orders', (t) => {
    t.bigint('id');
    t.bigint('customer_id').references('customers.id').onDelete('CASCADE');
    t.string('item');
    t.decimal('amount', 10, 2);
    t.primary(['customer_id', 'id']);
  });
  await db.schema.createTable('notes', (t) => {
    t.increments('id');
    t.text('body').unique();
    t.timestamps(true, true);
  });
}
const drop = ({ schema }) =>
  schema.dropTable('notes').dropTable('orders').dropTable('customers').dropTable('countries');
const more = ({ schema }) => schema.alterTable('customers', (t) => t.integer('extra').defaultTo(3));
const less = ({ schema }) => schema.alterTable('customers', (t) => t.dropColumn('extra'));

await attempt('migrations', async () => {
  await clean();
  const config = { migrationSource: migrations };
  say('latest', (await db.migrate.latest(config))[1]);
  say('rollback', (await db.migrate.rollback(config))[1]);
  say('again', (await db.migrate.latest(config))[1]);
  // In whatever order the server has them.
  const columns = Object.entries(await db('customers').columnInfo());
  columns.sort(([a], [b]) => (a < b ? -1 : 1));
  say(
    'columns',
    columns.map(([name, { type, nullable }]) => [name, type, nullable]),
  );
  say('tables', [await db.schema.hasTable('orders'), await db.schema.hasColumn('orders', 'nope')]);
});
await attempt('crud', async () => {
  await db('countries').insert([
    { code: 'de', name: 'Germany' },
    { code: 'fr', name: 'France' },
  ]);
  for (let key = 1; key <= 4; key++)
    say('id', await db('customers').insert(customer(key)).returning('id'));
  await db('customers').insert([5, 6, 7, 8, 9].map(customer));
  await db.batchInsert('customers', [10, 11, 12].map(customer), 2);
  say('one', await db('customers').where({ id: 3 }).first());
  say(
    'ordered',
    await db('customers').select('id', 'name').orderBy('balance', 'desc').limit(3).offset(1),
  );
  say('in', await db('customers').whereIn('id', [1, 2, 3]).orderBy('id').pluck('name'));
  say('count', await db('customers').count('* as n').max('born as last').first());
  say(
    'grouped',
    await db('customers')
      .select('country')
      .sum('balance as total')
      .groupBy('country')
      .orderBy('country'),
  );
  say('update', await db('customers').where('id', '>', 6).update({ rate: 1.5 }));
  say(
    'returning',
    await db('customers').where({ id: 2 }).update({ name: 'x' }, ['id', 'name', 'extra']),
  );
  say('increment', await db('customers').where({ id: 2 }).increment('balance', 5));
  say(
    'upsert',
    await db('customers').insert(customer(2)).onConflict('id').merge(['name']).returning('name'),
  );
  say('serial', (await db('notes').insert({ body: 'first' }, ['id']))[0]);
  await db('orders').insert(
    [1, 2, 3].map((c) => ({ id: 1, customer_id: c, item: 'one', amount: c })),
  );
  const joined = db('customers as c')
    .join('orders as o', 'o.customer_id', 'c.id')
    .select('c.id', 'o.item');
  say('join', await joined.orderBy('c.id'));
  say(
    'with',
    await db
      .with('x', db('orders').where('amount', '>', 1))
      .select('item')
      .count()
      .from('x')
      .groupBy('item'),
  );
  say('delete', await db('orders').where({ customer_id: 3 }).del());
  say('raw', (await db.raw('SELECT ?::int + 1 AS n', [41])).rows);
});
await attempt('bulk returning', async () => {
  const made = await db('orders').insert(
    [4, 5, 6].map((c) => ({ id: 1, customer_id: c })),
    ['customer_id'],
  );
  say('made', made.map((row) => row.customer_id).sort());
});
await attempt('transactions', async () => {
  await db.transaction(async (tx) => {
    await tx('customers').where('id', '<', 4).update({ name: 'inside' });
    await tx
      .transaction((inner) => inner('customers').insert(customer(1)))
      .catch((error) => say('inner', error.code));
    say('locked', await tx('customers').where({ id: 1 }).forUpdate().pluck('name'));
  });
  await fails('undone', () =>
    db.transaction(async (tx) => {
      await tx('orders').del();
      await tx('nowhere').select();
    }),
  );
  say('kept', await db('orders').count());
  await fails('unique', () => db('customers').insert(customer(1)));
});
await attempt('timeout', async () => {
  await fails('timeout', () => db.raw('SELECT pg_sleep(5)').timeout(200, { cancel: true }));
});
await attempt('streams', async () => {
  const seen = [];
  for await (const row of db('customers').select('id').orderBy('id').stream()) seen.push(row.id);
  say('stream', seen);
});
await clean();
await db.destroy();
