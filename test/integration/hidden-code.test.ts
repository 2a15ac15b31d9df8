import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

/*
 * Code of which nobody knows what it touches: statements that functions make up, views and policies behind them,
 * triggers that run such code. On the unsharded keyspace's server it runs as on one Postgres; where it meets the empty
 * shell of a table whose rows are elsewhere, the statement fails.
 */
let scene: Scene;

const schema = [
  'CREATE TABLE orders (id int4 PRIMARY KEY, cust int4, text text)',
  'INSERT INTO orders SELECT g, g % 5 FROM generate_series(1, 20) g',
  'CREATE TABLE countries (code text PRIMARY KEY)',
  'CREATE TABLE notes (id int4 PRIMARY KEY, text text)',
  `INSERT INTO notes VALUES (1, 'one'), (2, 'two')`,
  'CREATE TABLE jobs (queue text, n int4, PRIMARY KEY (queue, n)) PARTITION BY LIST (queue)',
  'CREATE VIEW recent AS SELECT id, text FROM notes WHERE id > 1',
  'CREATE VIEW order_ids AS SELECT id FROM orders',
  `CREATE FUNCTION rows_of(t text) RETURNS int8 LANGUAGE plpgsql AS $$
    DECLARE n int8; BEGIN EXECUTE format('SELECT count(*) FROM %I', t) INTO n; RETURN n; END $$`,
  `CREATE FUNCTION text_of(t text, wanted int4) RETURNS text LANGUAGE plpgsql STABLE AS $$
    DECLARE sql text := 'SELECT text FROM ' || quote_ident(t); found text;
    BEGIN
      IF wanted IS NOT NULL THEN sql := sql || ' WHERE id = $1'; END IF;
      EXECUTE sql INTO found USING wanted;
      RETURN found;
    END $$`,
  `CREATE FUNCTION write_to(t text, i int4) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN EXECUTE format('INSERT INTO %I(id) VALUES ($1)', t) USING i; END $$`,
  `CREATE FUNCTION make_queue(q text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      EXECUTE format('CREATE TABLE %I (LIKE jobs INCLUDING ALL)', 'jobs_' || q);
      EXECUTE format('ALTER TABLE jobs ATTACH PARTITION %I FOR VALUES IN (%L)', 'jobs_' || q, q);
    END $$`,
  `CREATE FUNCTION newest() RETURNS text LANGUAGE sql AS 'SELECT max(text) FROM recent'`,
  `CREATE FUNCTION by_view() RETURNS int8 LANGUAGE sql AS 'SELECT count(*) FROM order_ids'`,
  `CREATE FUNCTION outer_rows(t text) RETURNS int8 LANGUAGE plpgsql AS 'BEGIN RETURN rows_of(t) + 1; END'`,
  `CREATE PROCEDURE put(t text, i int4) LANGUAGE plpgsql AS $$ BEGIN PERFORM write_to(t, i); END $$`,
  `CREATE FUNCTION anything(sql text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE sql; END $$`,
  `CREATE FUNCTION any_call(f text) RETURNS int8 LANGUAGE plpgsql AS $$
    DECLARE n int8; BEGIN EXECUTE format('SELECT %I()', f) INTO n; RETURN n; END $$`,
  `CREATE FUNCTION sets(v text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN EXECUTE 'SELECT set_config(''work_mem'', ' || quote_literal(v) || ', false)'; END $$`,
  `CREATE FUNCTION then_sets() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT 1; SET work_mem = 99'; END $$`,
  `CREATE FUNCTION catches(t text) RETURNS int8 LANGUAGE plpgsql AS $$
    DECLARE n int8; BEGIN EXECUTE 'SELECT count(*) FROM ' || t INTO n; RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN RETURN n; END $$`,
  `CREATE FUNCTION keeps() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE kept (a int4); END $$`,
  `CREATE FUNCTION tables() RETURNS int8 LANGUAGE sql AS $$
    SELECT count(*) FROM pg_class WHERE relname IN ('notes', 'orders') $$`,
  `CREATE FUNCTION exists_table(t text) RETURNS bool LANGUAGE sql AS 'SELECT to_regclass(t) IS NOT NULL'`,
  `CREATE FUNCTION note_and_tell(i int4) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO notes VALUES (i, 'told'); PERFORM pg_notify('hidden_notes', i::text); END $$`,
  `CREATE FUNCTION locked() RETURNS bool LANGUAGE sql AS 'SELECT pg_try_advisory_xact_lock(20261122)'`,
  `CREATE FUNCTION hold() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_lock(20261123)'`,
  `CREATE FUNCTION let_go() RETURNS bool LANGUAGE sql AS 'SELECT pg_advisory_unlock(20261123)'`,
  `CREATE FUNCTION logs() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN EXECUTE format('UPDATE %I SET text = text || $1', TG_ARGV[0]) USING '!'; RETURN NULL; END $$`,
  'CREATE TABLE settings (key text PRIMARY KEY)',
  `CREATE TRIGGER logs AFTER INSERT ON settings FOR EACH ROW EXECUTE FUNCTION logs('notes')`,
  'CREATE TABLE wrong (key text PRIMARY KEY)',
  'CREATE TABLE details (key text REFERENCES settings ON DELETE CASCADE)',
  `CREATE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
  'CREATE TRIGGER counts AFTER DELETE ON details FOR EACH ROW EXECUTE FUNCTION counts()',
  `CREATE OR REPLACE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM 1 FROM orders; RETURN NULL; END'`,
  `CREATE TRIGGER logs AFTER INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION logs('orders')`,
];

beforeAll(async () => {
  scene = await openScene(
    'hidden_code',
    {
      main: { notes: {}, jobs: {}, settings: {}, details: {}, wrong: {} },
      shop: { orders: { shard_key: 'id', vindex: 'by_key' }, countries: { type: 'reference' } },
    },
    schema,
  );
});
afterAll(async () => {
  await scene.close();
});

describe('on tables of the unsharded keyspace it does what it does on one Postgres', () => {
  test.each([
    `SELECT rows_of('notes'), rows_of('recent'), outer_rows('notes')`,
    `SELECT n.id, text_of('notes', n.id) FROM notes n ORDER BY n.id`,
    `SELECT text_of('notes', 3)`,
    'SELECT newest()',
    `SELECT write_to('notes', 10)`,
    `CALL put('notes', 11)`,
    'SELECT tables()',
    `SELECT exists_table('orders'), exists_table('nothing')`,
    `SELECT rows_of('nowhere')`,
    `SELECT write_to('notes', 10)`,
    'SELECT note_and_tell(12)',
    'SELECT locked()',
    'SELECT hold(), let_go()',
    `SELECT make_queue('mail')`,
    `INSERT INTO jobs VALUES ('mail', 1), ('mail', 2) RETURNING *`,
    'SELECT * FROM jobs_mail ORDER BY n',
    `INSERT INTO settings VALUES ('a'), ('b')`,
    'SELECT * FROM notes ORDER BY id',
  ])('%s', async (sql) => {
    await scene.comparison.expectSame(sql);
  });

  test('in transactions, with what is read before and behind it', async () => {
    for (const sql of [
      'BEGIN',
      'SELECT count(*) FROM orders',
      `SELECT write_to('notes', 20), rows_of('notes')`,
      'SAVEPOINT s',
      `SELECT write_to('notes', 20)`,
      'ROLLBACK TO s',
      'SELECT id FROM notes ORDER BY id',
      'ROLLBACK',
      `SELECT rows_of('notes')`,
    ]) {
      await scene.comparison.expectSame(sql);
    }
  });

  test('with parameters, prepared and executed again', async () => {
    const client = await connectPg(scene.proxy.url);
    for (const table of ['notes', 'recent', 'notes']) {
      const asked = { name: 'rows', text: 'SELECT rows_of($1) AS n', values: [table] };
      const { rows } = await client.query<{ n: string }>(asked);
      const direct = await client.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`);
      expect(rows).toEqual(direct.rows);
    }
    await expect(
      client.query({ name: 'rows', text: 'SELECT rows_of($1) AS n', values: ['orders'] }),
    ).rejects.toMatchObject({ code: '0A000' });
    await client.end();
  });

  test('who listens hears what a function tells', async () => {
    const listener = await connectPg(scene.proxy.url);
    const heard = new Promise<string | undefined>((resolve) => {
      listener.on('notification', ({ payload }) => {
        resolve(payload);
      });
    });
    await listener.query('LISTEN hidden_notes');
    await scene.comparison.expectSame('SELECT note_and_tell(30)');
    expect(await heard).toBe('30');
    await listener.end();
  });
});

describe('the statement fails where it meets tables whose rows are elsewhere', () => {
  test.each([
    [`SELECT rows_of('orders')`, 'uses table "orders" of keyspace "shop"'],
    [`SELECT rows_of('countries')`, 'uses table "countries" of keyspace "shop"'],
    [`SELECT rows_of('order_ids')`, 'uses table "orders" of keyspace "shop"'],
    [`SELECT outer_rows('orders')`, 'uses table "orders" of keyspace "shop"'],
    ['SELECT by_view()', 'uses table "orders" of keyspace "shop"'],
    [`SELECT write_to('orders', 99)`, 'uses table "orders" of keyspace "shop"'],
    [`INSERT INTO wrong VALUES ('a')`, 'uses table "orders" of keyspace "shop"'],
  ])('%s', async (sql, reason) => {
    await scene.comparison.expectRefused(sql, undefined, reason);
  });

  test('by rows that go with others', async () => {
    await scene.comparison.expectSame(`INSERT INTO settings VALUES ('c'), ('d')`);
    await scene.databases.query('main', `INSERT INTO details VALUES ('c')`);
    await scene.comparison.expectSame(`DELETE FROM settings WHERE key = 'd'`);
    await scene.comparison.expectRefused(
      `DELETE FROM settings WHERE key = 'c'`,
      undefined,
      'uses table "orders" of keyspace "shop"',
    );
  });

  test('and nothing is left of it', async () => {
    await scene.comparison.expectSame('SELECT count(*) FROM wrong');
    const shells = await scene.databases.query('main', 'SELECT id FROM orders');
    expect(shells).toEqual([]);
  });
});

describe('it is refused where a server could not tell, or is not alone', () => {
  test.each([
    [`SELECT anything('SELECT 1')`, 'makes up as a whole'],
    [`SELECT any_call('random')`, 'calls functions whose names it makes up'],
    [`SELECT sets('7MB')`, 'calls set_config()'],
    ['SELECT then_sets()', 'makes up as a whole'],
    [`SELECT catches('orders')`, 'catches errors'],
    ['SELECT keeps()', 'makes temporary tables'],
    [`SELECT id, rows_of('notes') FROM orders`, 'runs statements that it makes up'],
    [`UPDATE orders SET cust = rows_of('notes')`, 'a function that describes the server'],
    [`COPY (SELECT rows_of('notes')) TO STDOUT`, 'runs statements that it makes up'],
    [`DECLARE c CURSOR FOR SELECT rows_of('notes')`, 'runs statements that it makes up'],
  ])('%s', async (sql, reason) => {
    await scene.comparison.expectRefused(sql, undefined, reason);
  });
});
