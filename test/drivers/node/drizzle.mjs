// Drizzle: schema objects, relational queries, prepared statements, transactions, over node-postgres and postgres.js.
import { asc, count, desc, eq, gt, inArray, relations, sql, sum } from 'drizzle-orm';
import { drizzle as overPg } from 'drizzle-orm/node-postgres';
import { drizzle as overPostgres } from 'drizzle-orm/postgres-js';
import {
  bigint,
  boolean,
  date,
  doublePrecision,
  jsonb,
  numeric,
  pgTable,
  primaryKey,
  serial,
  text,
  timestamp,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core';
import pg from 'pg';
import postgres from 'postgres';
import { attempt, CLEANUP, customer, fails, say, SCHEMA, URL } from './transcript.mjs';

const countries = pgTable('countries', { code: text().primaryKey(), name: text().notNull() });
const customers = pgTable('customers', {
  id: bigint({ mode: 'number' }).primaryKey(),
  name: varchar({ length: 40 }).notNull(),
  country: text().references(() => countries.code),
  born: date(),
  seen: timestamp({ withTimezone: true }),
  balance: numeric({ precision: 12, scale: 2 }),
  rate: doublePrecision(),
  active: boolean(),
  token: uuid(),
  tags: text().array(),
  data: jsonb(),
});
const orders = pgTable(
  'orders',
  {
    id: bigint({ mode: 'number' }),
    customerId: bigint('customer_id', { mode: 'number' }),
    item: text(),
    amount: numeric(),
  },
  (table) => [primaryKey({ columns: [table.customerId, table.id] })],
);
const notes = pgTable('notes', { id: serial().primaryKey(), body: text() });
const customersRelations = relations(customers, ({ many, one }) => ({
  orders: many(orders),
  home: one(countries, { fields: [customers.country], references: [countries.code] }),
}));
const ordersRelations = relations(orders, ({ one }) => ({
  customer: one(customers, { fields: [orders.customerId], references: [customers.id] }),
}));
const schema = { countries, customers, orders, notes, customersRelations, ordersRelations };

async function shop(db) {
  for (const statement of SCHEMA) await db.execute(sql.raw(statement));
  await db.insert(countries).values([
    { code: 'de', name: 'Germany' },
    { code: 'fr', name: 'France' },
  ]);
  await db.insert(customers).values([1, 2, 3, 4, 5, 6, 7, 8].map(customer));
  say(
    'returning',
    await db
      .insert(customers)
      .values(customer(9))
      .returning({ id: customers.id, seen: customers.seen }),
  );
  say('one', await db.select().from(customers).where(eq(customers.id, 3)));
  say(
    'ordered',
    await db
      .select({ id: customers.id })
      .from(customers)
      .orderBy(desc(customers.balance))
      .limit(3)
      .offset(1),
  );
  say(
    'grouped',
    await db
      .select({ country: customers.country, n: count(), total: sum(customers.balance) })
      .from(customers)
      .groupBy(customers.country)
      .orderBy(customers.country),
  );
  await db
    .insert(orders)
    .values([1, 2, 3].map((c) => ({ id: 1, customerId: c, item: `item ${c}`, amount: '2.5' })));
  say(
    'join',
    await db
      .select({ name: customers.name, item: orders.item })
      .from(customers)
      .innerJoin(orders, eq(orders.customerId, customers.id))
      .orderBy(asc(customers.id)),
  );
  const done = await db.update(customers).set({ rate: 2 }).where(gt(customers.id, 4));
  say('update', done.rowCount ?? done.count);
  say(
    'upsert',
    await db
      .insert(customers)
      .values(customer(1))
      .onConflictDoUpdate({ target: customers.id, set: { name: 'again' } })
      .returning({ name: customers.name }),
  );
  say('serial', await db.insert(notes).values({ body: 'a' }).returning({ id: notes.id }));
  say(
    'in',
    await db
      .select({ id: customers.id })
      .from(customers)
      .where(inArray(customers.id, [1, 5]))
      .orderBy(customers.id),
  );
  const byKey = db
    .select({ name: customers.name })
    .from(customers)
    .where(eq(customers.id, sql.placeholder('id')))
    .prepare('by_key');
  for (const id of [1, 2, 3]) say('prepared', await byKey.execute({ id }));
  say('$count', await db.$count(customers, gt(customers.id, 3)));
}

async function relational(db) {
  say(
    'first',
    await db.query.customers.findFirst({
      where: eq(customers.id, 2),
      with: { orders: true, home: true },
    }),
  );
  say(
    'many',
    await db.query.customers.findMany({
      columns: { id: true, name: true },
      with: { orders: { columns: { item: true } } },
      orderBy: customers.id,
      limit: 4,
    }),
  );
}

async function transactions(db) {
  await fails('undone', () =>
    db.transaction(async (tx) => {
      await tx.delete(orders);
      await tx.insert(customers).values(customer(1));
    }),
  );
  await db.transaction(async (tx) => {
    await tx.update(orders).set({ item: 'inside' });
    await tx
      .transaction(async (inner) => {
        await inner.delete(orders);
        inner.rollback();
      })
      .catch((error) => say('inner', error.constructor.name));
  });
  say('kept', await db.select({ item: orders.item, n: count() }).from(orders).groupBy(orders.item));
}

const pool = new pg.Pool({ connectionString: URL, max: 3 });
const client = postgres(URL, { max: 3, onnotice: () => undefined });
for (const db of [overPg(pool, { schema }), overPostgres(client, { schema })]) {
  await attempt('shop', () => shop(db));
  await attempt('relational', () => relational(db));
  await attempt('transactions', () => transactions(db));
}
await pool.query(CLEANUP);
await pool.end();
await client.end();
