// Sequelize: sync, models with associations, bulk writes, transactions.
import { DataTypes, Op, Sequelize, Transaction } from 'sequelize';
import { attempt, customer, fails, say, URL } from './transcript.mjs';

const db = new Sequelize(URL, { logging: false, pool: { max: 3 } });
const Country = db.define(
  'Country',
  {
    code: { type: DataTypes.STRING(2), primaryKey: true },
    name: DataTypes.STRING,
  },
  { tableName: 'countries', timestamps: false },
);
const Customer = db.define(
  'Customer',
  {
    id: { type: DataTypes.BIGINT, primaryKey: true },
    name: { type: DataTypes.STRING(40), allowNull: false },
    born: DataTypes.DATEONLY,
    seen: DataTypes.DATE,
    balance: DataTypes.DECIMAL(12, 2),
    rate: DataTypes.DOUBLE,
    active: DataTypes.BOOLEAN,
    token: DataTypes.UUID,
    photo: DataTypes.BLOB,
    tags: DataTypes.ARRAY(DataTypes.TEXT),
    data: DataTypes.JSONB,
    level: DataTypes.ENUM('low', 'high'),
  },
  { tableName: 'customers', indexes: [{ fields: ['name'] }] },
);
const Order = db.define(
  'Order',
  {
    customerId: { type: DataTypes.BIGINT, primaryKey: true, field: 'customer_id' },
    id: { type: DataTypes.BIGINT, primaryKey: true },
    item: DataTypes.STRING,
    amount: DataTypes.DECIMAL(10, 2),
  },
  { tableName: 'orders', timestamps: false },
);
const Note = db.define(
  'Note',
  { body: { type: DataTypes.TEXT, unique: true } },
  { tableName: 'notes' },
);
Customer.belongsTo(Country, { foreignKey: 'country' });
Customer.hasMany(Order, { foreignKey: 'customerId', onDelete: 'CASCADE' });
Order.belongsTo(Customer, { foreignKey: 'customerId' });
const plain = (found) => found.map((each) => each.get({ plain: true }));
const shop = (key) => ({ ...customer(key), level: key % 2 ? 'low' : 'high' });

await attempt('sync', async () => {
  await db.authenticate();
  await db.drop({});
  await db.sync();
  await db.sync({ alter: true });
  // In whatever order the server has them.
  const columns = Object.entries(await db.getQueryInterface().describeTable('orders'));
  columns.sort(([a], [b]) => (a < b ? -1 : 1));
  say('columns', columns);
  await db
    .getQueryInterface()
    .addColumn('customers', 'extra', { type: DataTypes.INTEGER, defaultValue: 4 });
});
await attempt('crud', async () => {
  await Country.bulkCreate([
    { code: 'de', name: 'Germany' },
    { code: 'fr', name: 'France' },
  ]);
  for (const key of [1, 2, 3]) await Customer.create(shop(key));
  await Customer.bulkCreate([4, 5, 6, 7, 8, 9].map(shop), { returning: false });
  const one = await Customer.findByPk(3, { include: [Country, Order] });
  const { createdAt, updatedAt, ...rest } = one.get({ plain: true });
  say('one', [rest, createdAt instanceof Date, updatedAt instanceof Date]);
  await one.update({ name: 'changed', tags: ['x'] });
  await one.reload();
  say('changed', [one.name, one.tags]);
  say(
    'page',
    plain(
      await Customer.findAll({
        attributes: ['id', 'level'],
        order: [
          ['level', 'ASC'],
          ['id', 'DESC'],
        ],
        limit: 4,
        offset: 1,
      }),
    ),
  );
  say(
    'count',
    await Customer.findAndCountAll({
      attributes: ['id'],
      where: { id: { [Op.gt]: 5 } },
      limit: 1,
      order: ['id'],
    }).then(({ count, rows }) => [count, plain(rows)]),
  );
  say('sum', [
    await Customer.sum('balance'),
    await Customer.max('born'),
    await Customer.count({ group: 'country' }).then((g) => g.length),
  ]);
  say('update', await Customer.update({ rate: 2 }, { where: { active: true } }));
  say(
    'returning',
    (await Customer.update({ rate: 3 }, { where: { id: [1, 2] }, returning: ['id'] }))[0],
  );
  say('upsert', (await Customer.upsert(shop(2)))[0].name);
  say('found', (await Customer.findOrCreate({ where: { id: 2 }, defaults: shop(2) }))[1]);
  say('serial', [(await Note.create({ body: 'a' })).id, (await Note.create({ body: 'b' })).id]);
  say('json', plain(await Customer.findAll({ attributes: ['id'], where: { 'data.key': 4 } })));
  say('destroy', await Customer.destroy({ where: { id: 9 } }));
});
await attempt('bulk returning', async () => {
  const made = await Order.bulkCreate(
    [1, 2, 3, 4].map((c) => ({ customerId: c, id: 1, item: 'bulk', amount: c })),
  );
  say('orders', made.map((order) => String(order.customerId)).sort());
  const loaded = await Customer.findAll({
    attributes: ['id'],
    include: [{ model: Order, required: true }],
    order: ['id'],
  });
  say('included', plain(loaded));
});
await attempt('transactions', async () => {
  await fails('undone', () =>
    db.transaction(async (transaction) => {
      await Order.destroy({ where: {}, transaction });
      await Customer.create(shop(1), { transaction });
    }),
  );
  await db.transaction(
    { isolationLevel: Transaction.ISOLATION_LEVELS.READ_COMMITTED },
    async (transaction) => {
      const locked = await Customer.findByPk(4, { transaction, lock: transaction.LOCK.UPDATE });
      await locked.increment('balance', { by: 2, transaction });
    },
  );
  say('kept', [await Order.count(), (await Customer.findByPk(4)).balance]);
});
await db.drop({});
await db.close();
