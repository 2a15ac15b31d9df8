import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

/*
 * Functions, procedures and DO blocks that users write, which are VOLATILE unless they say otherwise. Where they only
 * compute, or keep to tables of one unsharded keyspace, they run as on one Postgres; else they are refused.
 */
let scene: Scene;

beforeAll(async () => {
  scene = await openScene(
    'user_functions',
    { main: { notes: {}, totals: {} }, shop: { orders: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE orders (id int4 PRIMARY KEY, cust int4, amount numeric)',
      'INSERT INTO orders SELECT g, g % 5, g / 2.0 FROM generate_series(1, 20) g',
      'CREATE TABLE notes (id serial PRIMARY KEY, text text)',
      'CREATE TABLE totals (k text PRIMARY KEY, n int4)',
      `INSERT INTO totals VALUES ('a', 0), ('b', 0)`,
      `CREATE FUNCTION plus(a int4, b int4 DEFAULT 5) RETURNS int4 LANGUAGE sql AS 'SELECT a + b'`,
      `CREATE FUNCTION twice(a int4) RETURNS int4 LANGUAGE sql BEGIN ATOMIC SELECT plus(a, a); END`,
      `CREATE FUNCTION digits(a int4) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE r text := ''; start int4 := 1;
        BEGIN FOR i IN start..a LOOP r := r || i; END LOOP; RAISE NOTICE 'made %', r; RETURN r; END $$`,
      `CREATE FUNCTION factorial(n int4) RETURNS int8 LANGUAGE plpgsql AS $$
        BEGIN IF n < 2 THEN RETURN 1; END IF; RETURN n * factorial(n - 1); END $$`,
      `CREATE FUNCTION series(n int4) RETURNS TABLE (a int4, b text) LANGUAGE sql AS $$
        SELECT g, 'x' || g FROM generate_series(1, n) g $$`,
      `CREATE FUNCTION fails() RETURNS int4 LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no %', 1 USING ERRCODE = '22012', HINT = 'h'; END $$`,
      `CREATE FUNCTION note(t text) RETURNS int4 LANGUAGE plpgsql AS $$
        DECLARE made int4; BEGIN INSERT INTO notes (text) VALUES (t) RETURNING id INTO made;
        UPDATE totals SET n = totals.n + 1 WHERE k = t; RETURN made; END $$`,
      `CREATE FUNCTION noted() RETURNS int8 LANGUAGE sql STABLE AS 'SELECT count(*) FROM notes'`,
      `CREATE PROCEDURE put(a int4, INOUT b int4) LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO notes (text) VALUES ('p' || a); b := a * 2; END $$`,
      `CREATE FUNCTION order_count() RETURNS int8 LANGUAGE sql AS 'SELECT count(*) FROM "orders"'`,
      `CREATE FUNCTION by_others() RETURNS int8 LANGUAGE plpgsql AS $$ BEGIN RETURN order_count(); END $$`,
      `CREATE FUNCTION made_up(t text) RETURNS int8 LANGUAGE plpgsql AS $$
        DECLARE n int8; BEGIN EXECUTE 'SELECT count(*) FROM ' || t INTO n; RETURN n; END $$`,
      `CREATE FUNCTION sets() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET work_mem = '7MB'; END $$`,
      `CREATE FUNCTION sets_too() RETURNS text LANGUAGE sql AS $$ SELECT set_config('work_mem', '7MB', false) $$`,
      `CREATE FUNCTION last_id() RETURNS int8 LANGUAGE sql AS $$ SELECT currval('notes_id_seq') $$`,
      `CREATE FUNCTION moment() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'`,
      `CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO notes (text) VALUES ('c'); COMMIT; END $$`,
    ],
  );
});
afterAll(async () => {
  await scene.close();
});

describe('functions that only compute', () => {
  test.each([
    'SELECT plus(1, 2), plus(1), twice(4), factorial(6), digits(3)',
    'SELECT id, plus(id, cust) FROM orders WHERE plus(id, 0) < 7 ORDER BY 1',
    'SELECT sum(plus(id)), max(digits(cust)) FROM orders',
    'SELECT * FROM series(3)',
    'SELECT o.id, s.b FROM orders o, series(o.id) s WHERE o.id < 4 ORDER BY 1, 2',
    'SELECT * FROM orders WHERE id = (SELECT plus(1, 1))',
    'INSERT INTO orders VALUES (plus(100, 1), 2, 3) RETURNING *',
    'UPDATE orders SET amount = factorial(3) WHERE id IN (3, 101) RETURNING id, amount',
    'UPDATE orders SET amount = plus(cust)',
    'DELETE FROM orders WHERE id = plus(100, 1)',
    'SELECT sum(amount) FROM orders',
    'SELECT fails()',
    'SELECT fails() FROM orders',
  ])('%s', async (sql) => {
    await scene.comparison.expectSame(sql);
  });
});

test('functions, procedures and blocks run where the tables of their one keyspace are', async () => {
  const { comparison } = scene;
  for (const sql of [
    `SELECT note('a'), note('x')`,
    'SELECT noted()',
    `SELECT text, note(text) FROM notes ORDER BY id`,
    'CALL put(4, 0)',
    `DO $$ BEGIN FOR i IN 1..3 LOOP INSERT INTO notes (text) VALUES ('d' || i); END LOOP; END $$`,
    `DO $$ BEGIN PERFORM note('b'); END $$`,
    'BEGIN',
    `SELECT note('b'), noted()`,
    'CALL put(5, 1)',
    'ROLLBACK',
    'SELECT * FROM notes ORDER BY id',
    'SELECT * FROM totals ORDER BY k',
  ]) {
    await comparison.expectSame(sql);
  }
});

describe('is refused, since one server cannot answer it', () => {
  test.each([
    ['SELECT order_count()', 'uses table "orders" of a sharded keyspace'],
    ['SELECT by_others()', 'uses table "orders" of a sharded keyspace'],
    [`SELECT made_up('orders')`, 'uses table "orders" of keyspace "shop"'],
    ['SELECT sets()', 'runs SET'],
    ['SELECT sets_too()', 'calls set_config()'],
    ['SELECT last_id()', 'calls currval()'],
    ['CALL commits()', 'runs COMMIT'],
    ['SELECT id, note(cust::text) FROM orders', 'uses table "notes" beside table "orders"'],
    ['UPDATE orders SET cust = note(cust::text)', 'uses table "notes" beside table "orders"'],
    ['DO $$ BEGIN PERFORM 1 FROM orders; END $$', 'DO with anything but DDL'],
  ])('%s', async (sql, reason) => {
    await scene.comparison.expectRefused(sql, undefined, reason);
  });
});

test('one statement has one time, also where a function tells it', async () => {
  await scene.comparison.expectSame(
    'SELECT count(DISTINCT at) FROM (SELECT id, moment() AS at FROM orders OFFSET 0) o',
  );
  const client = await connectPg(scene.proxy.url);
  const { rows } = await client.query<{ moment: string }>('SELECT moment()::text FROM orders');
  expect(new Set(rows.map(({ moment }) => moment)).size).toBe(1);
  await client.end();
});

test('a function that is made anew is another one at once', async () => {
  const { comparison } = scene;
  const made = (body: string): string =>
    `CREATE OR REPLACE FUNCTION plus(a int4, b int4 DEFAULT 5) RETURNS int4 LANGUAGE sql AS '${body}'`;
  await comparison.both(made('SELECT a * b'));
  await comparison.expectSame('SELECT plus(3, 4), twice(3)');
  await comparison.both(made('SELECT max(id) FROM orders'));
  await comparison.expectRefused('SELECT plus(3, 4)');
  await comparison.expectRefused('SELECT twice(4)');
});
