// Prisma with its adapter for pg: models, relations, aggregates, transactions, raw queries.
import { PrismaPg } from '@prisma/adapter-pg';
import prismaClient from '@prisma/client';
import { attempt, CLEANUP, customer, fails, say, SCHEMA, URL } from './transcript.mjs';

const { Prisma, PrismaClient } = prismaClient;
const db = new PrismaClient({ adapter: new PrismaPg({ connectionString: URL }) });

/** A customer as Prisma takes it. */
function model(key) {
  const { id, born, photo, ...rest } = customer(key);
  return {
    ...rest,
    id: BigInt(id),
    born: new Date(`${born}T00:00:00Z`),
    photo: new Uint8Array(photo),
  };
}

/** Rows with decimals as text. */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (Prisma.Decimal.isDecimal(value)) return String(value);
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof Date || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

/** What an error of Prisma is to an application. */
function failing(label, work) {
  return fails(label, async () => {
    try {
      return plain(await work());
    } catch ({ code, meta, message }) {
      return [code, meta?.modelName, code === undefined ? message : null];
    }
  });
}

for (const sql of SCHEMA) await db.$executeRawUnsafe(sql);

await attempt('create', async () => {
  await db.$executeRaw`INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')`;
  for (let key = 1; key <= 4; key++) await db.customers.create({ data: model(key) });
  const more = [5, 6, 7, 8, 9, 10, 11, 12].map(model);
  say('many', await db.customers.createMany({ data: more, skipDuplicates: true }));
  const nested = { create: [1n, 2n].map((id) => ({ id, item: `item ${id}`, amount: '2.50' })) };
  const data = { id: 20n, name: 'with orders', orders: nested };
  say('nested', plain(await db.customers.create({ data, include: { orders: true } })));
  const rows = [21n, 22n].map((id) => ({ id, name: 'returned' }));
  say('returned', await db.customers.createManyAndReturn({ data: rows, select: { id: true } }));
  say('serial', [
    await db.notes.create({ data: { body: 'a' } }),
    (await db.notes.create({ data: {} })).id,
  ]);
});
await attempt('find', async () => {
  say('one', plain(await db.customers.findUnique({ where: { id: 3n } })));
  say('none', await db.customers.findUnique({ where: { id: 99n } }));
  const orderBy = { id: 'asc' };
  const select = { id: true, name: true };
  say(
    'page',
    await db.customers.findMany({ select, orderBy, take: 3, skip: 1, cursor: { id: 3n } }),
  );
  const where = {
    OR: [{ id: { in: [1n, 2n] } }, { name: { contains: '1', mode: 'insensitive' } }],
  };
  say('where', await db.customers.findMany({ where, select, orderBy }));
  const spent = { orders: { some: { amount: { gt: 1 } } } };
  const counted = { id: true, _count: { select: { orders: true } } };
  say('relation', await db.customers.findMany({ where: spent, select: counted, orderBy }));
  say(
    'include',
    plain(
      await db.customers.findMany({
        where: { id: { gte: 12n } },
        include: { orders: { orderBy } },
        orderBy,
      }),
    ),
  );
  say(
    'distinct',
    await db.customers.findMany({
      distinct: ['country'],
      select: { country: true },
      orderBy: { country: 'asc' },
    }),
  );
  say('tags', await db.customers.count({ where: { tags: { has: 'a' } } }));
});
await attempt('aggregates', async () => {
  say(
    'aggregate',
    plain(
      await db.customers.aggregate({
        _sum: { balance: true },
        _avg: { balance: true },
        _max: { id: true },
        _count: true,
      }),
    ),
  );
  const groups = {
    by: ['country'],
    _count: { _all: true },
    _sum: { balance: true },
    orderBy: { country: 'asc' },
  };
  say(
    'group',
    plain(await db.customers.groupBy({ ...groups, having: { balance: { _sum: { gt: 1 } } } })),
  );
});
await attempt('writes', async () => {
  const where = { id: 4n };
  say(
    'update',
    plain(
      await db.customers.update({
        where,
        data: { balance: { increment: '1.5' } },
        select: { balance: true },
      }),
    ),
  );
  for (const name of ['made', 'changed']) {
    const upsert = { where: { id: 30n }, create: { id: 30n, name: 'made' }, update: { name } };
    say('upsert', (await db.customers.upsert(upsert)).name);
  }
  say('updateMany', await db.customers.updateMany({ where: { country: 'de' }, data: { rate: 7 } }));
  say('deleteMany', await db.orders.deleteMany({ where: { customer_id: 20n, id: 2n } }));
  say('delete', (await db.customers.delete({ where: { id: 30n } })).id);
});
await attempt('transactions', async () => {
  const rename = (id, name, on = db) => on.customers.update({ where: { id }, data: { name } });
  say(
    'batch',
    (await db.$transaction([rename(1n, 'one'), rename(2n, 'two')])).map(({ name }) => name),
  );
  const both = async (tx) => {
    for (const id of [1n, 2n, 3n]) await rename(id, 'three', tx);
    return tx.customers.count({ where: { name: 'three' } });
  };
  say('interactive', await db.$transaction(both));
  await failing('rolled back', () =>
    db.$transaction(async (tx) => {
      await tx.customers.deleteMany({ where: { id: { gt: 5n } } });
      throw new Error('no');
    }),
  );
  say('all', await db.customers.count());
  const isolationLevel = Prisma.TransactionIsolationLevel.Serializable;
  say(
    'serializable',
    (await db.$transaction((tx) => rename(1n, 'alone', tx), { isolationLevel })).name,
  );
});
await attempt('raw', async () => {
  say(
    'query',
    plain(
      await db.$queryRaw`SELECT id, name, balance, now() IS NULL AS never FROM customers WHERE id = ${3n}`,
    ),
  );
  say(
    'joined',
    await db.$queryRaw`SELECT id FROM customers WHERE id IN (${Prisma.join([1n, 5n, 9n])}) ORDER BY id`,
  );
  say('execute', await db.$executeRaw`UPDATE customers SET rate = ${1.5} WHERE id > ${6n}`);
});
await attempt('errors', async () => {
  await failing('unique', () => db.customers.create({ data: { id: 1n, name: 'x' } }));
  await failing('foreign', () =>
    db.customers.create({ data: { id: 60n, name: 'x', country: 'xx' } }),
  );
  await failing('missing', () => db.customers.update({ where: { id: 99n }, data: { name: 'x' } }));
  await failing('long', () => db.customers.create({ data: { id: 61n, name: 'x'.repeat(99) } }));
});

await db.$executeRawUnsafe(CLEANUP);
await db.$disconnect();
