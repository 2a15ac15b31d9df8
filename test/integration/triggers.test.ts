import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

/*
 * Triggers do what they do on one Postgres, wherever the rows are; those of which nobody can tell are refused when they
 * are made, or when the function that they call has become such a one.
 */
let scene: Scene;

const functions = [
  `CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     NEW.changes := coalesce(NEW.changes, 0) + 1; -- how often
     IF NEW.name IS NULL THEN NEW.name := 'none'; END IF;
     IF TG_OP = 'UPDATE' AND OLD.name = 'fixed' THEN
       RAISE EXCEPTION '% stays', OLD.name USING ERRCODE = '23514';
     END IF;
     RETURN NEW;
   END $$`,
  `CREATE FUNCTION upper_name() RETURNS trigger LANGUAGE plpgsql AS
   'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END'`,
  `CREATE FUNCTION log_change() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN INSERT INTO audit (what, was, became) VALUES (TG_OP, OLD::text, NEW::text); RETURN NULL; END $$`,
  `CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
   $$BEGIN PERFORM pg_notify('settings', NEW.key); RETURN NULL; END$$`,
  `CREATE FUNCTION set_key() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id := 1; RETURN NEW; END'`,
  `CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
   'BEGIN NEW.name := now(); RETURN NEW; END'`,
  `CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
  `CREATE FUNCTION reads_items() RETURNS trigger LANGUAGE plpgsql AS
   'BEGIN PERFORM 1 FROM items; RETURN NULL; END'`,
  `CREATE FUNCTION made_up() RETURNS trigger LANGUAGE plpgsql AS
   $$BEGIN EXECUTE NEW.value; RETURN NULL; END$$`,
];

beforeAll(async () => {
  scene = await openScene(
    'triggers',
    {
      main: { settings: {}, audit: {} },
      shop: { items: { shard_key: 'id' }, countries: { type: 'reference' } },
    },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text, changes int, words tsvector)',
      'CREATE TABLE countries (code text PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      'CREATE TABLE audit (id serial PRIMARY KEY, what text, was text, became text)',
      ...functions,
      'CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch()',
      `CREATE TRIGGER words BEFORE INSERT OR UPDATE ON items FOR EACH ROW
         EXECUTE FUNCTION tsvector_update_trigger(words, 'pg_catalog.english', name)`,
      'CREATE TRIGGER up BEFORE INSERT OR UPDATE OF name ON countries FOR EACH ROW EXECUTE FUNCTION upper_name()',
      'CREATE TRIGGER logged AFTER INSERT OR UPDATE OR DELETE ON settings FOR EACH ROW EXECUTE FUNCTION log_change()',
    ],
  );
});
afterAll(async () => {
  await scene.close();
});

async function same(...statements: readonly string[]): Promise<void> {
  for (const sql of statements) await scene.comparison.expectSame(sql);
}

describe('what the triggers compute is there', () => {
  test('in the rows of a sharded table, whichever way they come', async () => {
    await same(
      `INSERT INTO items (id, name) VALUES (1, 'one day'), (2, NULL), (3, 'fixed') RETURNING *`,
      `INSERT INTO items SELECT g, 'n' || g FROM generate_series(4, 20) g`,
      `UPDATE items SET name = name || '!' WHERE id = 2 RETURNING *`,
      `UPDATE items SET name = 'all' WHERE id > 3`,
      `INSERT INTO items (id, name) VALUES (1, 'again') ON CONFLICT (id) DO UPDATE SET name = 'met'`,
      'UPDATE items SET name = NULL',
      'SELECT * FROM items ORDER BY id',
      'TRUNCATE items',
    );
  });

  test('on every copy of a reference table', async () => {
    await same(
      `INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France') RETURNING *`,
      `UPDATE countries SET name = name || 'x' WHERE code = 'fr'`,
    );
    for (const shard of ['s0', 's1', 's2', 's3'] as const) {
      expect(
        await scene.databases.query(shard, 'SELECT name FROM countries ORDER BY code'),
      ).toEqual([['GERMANY'], ['FRANCEX']]);
    }
  });

  test('in other tables of an unsharded keyspace', async () => {
    await same(
      `INSERT INTO settings VALUES ('a', '1'), ('b', '2')`,
      `UPDATE settings SET value = '3'`,
      `DELETE FROM settings WHERE key = 'a'`,
      'SELECT * FROM audit ORDER BY id',
    );
  });

  test('and clients are notified', async () => {
    await same(
      'CREATE TRIGGER tells AFTER INSERT ON settings FOR EACH ROW EXECUTE FUNCTION tell()',
    );
    const client = await connectPg(scene.proxy.url);
    const heard: unknown[] = [];
    client.on('notification', ({ channel, payload }) => heard.push([channel, payload]));
    await client.query('LISTEN settings');
    await client.query(`INSERT INTO settings VALUES ('told', '1')`);
    expect(heard).toEqual([['settings', 'told']]);
    await client.end();
    await scene.comparison.both('DROP TRIGGER tells ON settings');
  });
});

describe('a trigger is refused', () => {
  const row = (table: string, call: string, when = 'BEFORE INSERT'): string =>
    `CREATE TRIGGER refused ${when} ON ${table} FOR EACH ROW EXECUTE FUNCTION ${call}()`;
  test.each([
    [row('items', 'set_key'), 'sets the shard key "id"'],
    [row('items', 'skip'), 'may leave out rows'],
    [row('items', 'log_change', 'AFTER INSERT'), 'does more than compute'],
    ['CREATE TRIGGER x AFTER INSERT ON items EXECUTE FUNCTION skip()', 'once for each statement'],
    [row('countries', 'stamp'), 'calls function "now"'],
    [row('settings', 'reads_items', 'AFTER INSERT'), 'names table "items" of keyspace "shop"'],
    [row('settings', 'made_up', 'AFTER INSERT'), 'runs statements that it makes up'],
  ])('%s', async (sql, reason) => {
    const client = await connectPg(scene.proxy.url);
    await expect(client.query(sql)).rejects.toMatchObject({
      code: '0A000',
      message: expect.stringContaining(reason) as string,
    });
    await client.end();
  });

  test('and so are writes once its function does more', async () => {
    const client = await connectPg(scene.proxy.url);
    await client.query('BEGIN');
    await client.query(
      `CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
       'BEGIN DELETE FROM audit; RETURN NEW; END'`,
    );
    await client.query('SAVEPOINT s');
    const write = client.query('INSERT INTO items (id) VALUES (99)');
    await expect(write).rejects.toMatchObject({ code: '0A000' });
    await client.query('ROLLBACK');
    await client.query('INSERT INTO items (id) VALUES (99)');
    await client.query('DELETE FROM items');
    await client.end();
  });

  test('where PostgreSQL knows better, it says so', async () => {
    await same(row('items', 'nowhere'), row('nowhere', 'touch'));
  });
});
