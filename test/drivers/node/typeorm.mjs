// TypeORM: synchronize, entities with relations, query builder, transactions, streams.
import 'reflect-metadata';
import { DataSource, EntitySchema, In, MoreThan } from 'typeorm';
import { attempt, customer, fails, say, URL } from './transcript.mjs';

const Country = new EntitySchema({
  name: 'Country',
  tableName: 'countries',
  columns: { code: { type: 'varchar', length: 2, primary: true }, name: { type: 'text' } },
});
const Customer = new EntitySchema({
  name: 'Customer',
  tableName: 'customers',
  columns: {
    id: { type: 'bigint', primary: true },
    name: { type: 'varchar', length: 40 },
    born: { type: 'date', nullable: true },
    seen: { type: 'timestamptz', nullable: true },
    balance: { type: 'numeric', precision: 12, scale: 2, default: 0 },
    rate: { type: 'float8', nullable: true },
    active: { type: 'boolean', default: false },
    token: { type: 'uuid', nullable: true },
    photo: { type: 'bytea', nullable: true },
    tags: { type: 'text', array: true, nullable: true },
    data: { type: 'jsonb', nullable: true },
    level: { type: 'enum', enum: ['low', 'high'], default: 'low' },
    version: { type: 'int', version: true },
  },
  relations: {
    home: {
      type: 'many-to-one',
      target: 'Country',
      joinColumn: { name: 'country' },
      nullable: true,
    },
    orders: { type: 'one-to-many', target: 'Order', inverseSide: 'customer' },
  },
  indices: [{ columns: ['name'] }],
});
const Order = new EntitySchema({
  name: 'Order',
  tableName: 'orders',
  columns: {
    customer_id: { type: 'bigint', primary: true },
    id: { type: 'bigint', primary: true },
    item: { type: 'text', nullable: true },
  },
  relations: {
    customer: {
      type: 'many-to-one',
      target: 'Customer',
      joinColumn: { name: 'customer_id' },
      inverseSide: 'orders',
    },
  },
});
const Note = new EntitySchema({
  name: 'Note',
  tableName: 'notes',
  columns: {
    id: { type: 'int', primary: true, generated: true },
    body: { type: 'text' },
    made: { type: 'timestamptz', createDate: true },
  },
});
const db = new DataSource({
  type: 'postgres',
  url: URL,
  entities: [Country, Customer, Order, Note],
  poolSize: 3,
  installExtensions: false,
});
const shop = ({ country, ...rest }) => ({
  ...rest,
  home: { code: country },
  level: rest.id % 2 ? 'low' : 'high',
});

await db.initialize();
const customers = db.getRepository('Customer');
await attempt('schema', async () => {
  await db.query(
    'DROP TABLE IF EXISTS notes, orders, customers, countries CASCADE; DROP TYPE IF EXISTS customers_level_enum',
  );
  await db.synchronize();
  await db.synchronize();
});
await attempt('crud', async () => {
  await db.getRepository('Country').save([
    { code: 'de', name: 'Germany' },
    { code: 'fr', name: 'France' },
  ]);
  await customers.save([1, 2, 3].map((key) => shop(customer(key))));
  await customers.insert([4, 5, 6].map((key) => shop(customer(key))));
  for (const key of [7, 8]) await customers.insert(shop(customer(key)));
  say(
    'one',
    await customers.findOne({ where: { id: 3 }, relations: { home: true, orders: true } }),
  );
  const one = await customers.findOneBy({ id: 4 });
  one.name = 'changed';
  say('saved', (await customers.save(one)).version);
  say(
    'page',
    await customers.find({
      select: { id: true, level: true },
      order: { level: 'ASC', id: 'DESC' },
      take: 3,
      skip: 1,
    }),
  );
  say(
    'in',
    await customers.find({ select: { id: true }, where: { id: In([1, 5]) }, order: { id: 'ASC' } }),
  );
  say(
    'count',
    await customers.findAndCount({
      select: { id: true },
      where: { id: MoreThan(5) },
      order: { id: 'ASC' },
    }),
  );
  say('update', (await customers.update({ level: 'low' }, { rate: 2 })).affected);
  say(
    'grouped',
    await customers
      .createQueryBuilder('c')
      .select('c.country', 'country')
      .addSelect('SUM(c.balance)', 'total')
      .groupBy('c.country')
      .orderBy('country')
      .getRawMany(),
  );
  await db
    .getRepository('Order')
    .insert([1, 2, 3].map((c) => ({ customer_id: c, id: 1, item: `item ${c}` })));
  say(
    'joined',
    await customers
      .createQueryBuilder('c')
      .innerJoinAndSelect('c.orders', 'o')
      .select(['c.id', 'o.item'])
      .where('c.id < :max', { max: 3 })
      .orderBy('c.id')
      .getMany(),
  );
  say(
    'taken',
    (
      await customers
        .createQueryBuilder('c')
        .leftJoinAndSelect('c.orders', 'o')
        .orderBy('c.id')
        .take(2)
        .getMany()
    ).map((c) => c.orders.length),
  );
  await customers.upsert([shop(customer(2))], ['id']);
  say(
    'serial',
    (await db.getRepository('Note').save([{ body: 'a' }, { body: 'b' }])).map((note) => note.id),
  );
  say('delete', (await customers.delete({ id: 8 })).affected);
});
await attempt('transactions', async () => {
  await fails('undone', () =>
    db.transaction(async (tx) => {
      await tx.delete('Order', { id: 1 });
      await tx.insert('Customer', shop(customer(1)));
    }),
  );
  await db.transaction(async (tx) => {
    const locked = await tx.findOne('Customer', {
      where: { id: 5 },
      lock: { mode: 'pessimistic_write' },
    });
    await tx.update('Customer', { id: locked.id }, { name: 'locked' });
    await tx
      .transaction((inner) => inner.insert('Customer', shop(customer(1))))
      .catch((error) => say('inner', error.code));
  });
  say('kept', [
    await db.getRepository('Order').count(),
    (await customers.findOneBy({ id: 5 })).name,
  ]);
});
await attempt('streams', async () => {
  const seen = [];
  for await (const row of await customers
    .createQueryBuilder('c')
    .select('c.id', 'id')
    .orderBy('c.id')
    .stream())
    seen.push(row.id);
  say('stream', seen);
});
await db.query('DROP TABLE notes, orders, customers, countries; DROP TYPE customers_level_enum');
await db.destroy();
