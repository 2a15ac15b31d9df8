import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { WireClient } from '../support/wire-client.js';
import { sqlStates, WirePair } from '../support/wire-pair.js';

let scene: Scene;
const pairs: WirePair[] = [];

beforeAll(async () => {
  scene = await openScene(
    'temporarytables',
    {
      main: { settings: {} },
      shop: {
        items: { shard_key: 'id', vindex: 'by_key' },
        labels: { shard_key: 'id', vindex: 'by_key' },
        parts: { shard_key: 'id', vindex: 'by_key' },
        countries: { type: 'reference' },
      },
    },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text, price int)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      'CREATE TABLE countries (code text PRIMARY KEY)',
      'CREATE TABLE labels (id int8 PRIMARY KEY, code varchar(7), cost numeric(10,2), fixed char(4), made timestamp(3), rounded numeric(5,-2), bits bit(3), few bit varying(5), at time(0), seen timestamptz(2), name text)',
      `INSERT INTO labels SELECT g, 'c' || g, g + 0.25, 'x' || g % 3, '2024-01-01 10:00:00.1234', 12345, '101', '1011', '10:11:12.6', '2024-01-01 00:00:00.555+00', 'n' FROM generate_series(1, 9) g`,
      `INSERT INTO items VALUES ${Array.from({ length: 12 }, (_, i) => `(${i + 1}, 'n${i + 1}', ${i * 10})`).join()}`,
      'CREATE DOMAIN posint AS int CHECK (value > 0)',
      'CREATE TABLE parts (id int8 PRIMARY KEY, p posint, v varchar(5), n numeric(8,2), c char(3), t text COLLATE "C")',
      `INSERT INTO parts SELECT i, i, 'v' || i, i / 3.0, 'c', 't' FROM generate_series(1, 9) i`,
      `INSERT INTO settings VALUES ('k', 'v')`,
      `INSERT INTO countries VALUES ('at'), ('de')`,
    ],
    { pool: { size: 3, queue_timeout: '2s' } },
  );
});
afterAll(async () => {
  await scene.close();
});
afterEach(() => {
  for (const pair of pairs.splice(0)) pair.close();
});

async function open(): Promise<WirePair> {
  const { proxy, oraclePort, databases } = scene;
  const pair = await WirePair.open(proxy.port, oraclePort, { database: databases.name });
  pairs.push(pair);
  return pair;
}

async function same(pair: WirePair, ...queries: readonly string[]): Promise<void> {
  for (const sql of queries) {
    const options = { unordered: !/order by/i.test(sql) };
    await pair.expectSame((client) => client.query(sql), options);
  }
}

/** Temporary tables on all servers. */
async function left(): Promise<unknown> {
  const sql = `SELECT count(*)::int FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'`;
  const counts = await Promise.all(
    (['main', 's0', 's1', 's2', 's3'] as const).map((name) => scene.databases.query(name, sql)),
  );
  return counts.flat(2).reduce((sum, count) => (sum as number) + (count as number), 0);
}

test('statements of several shards with a temporary table, in both protocols', async () => {
  const pair = await open();
  await same(pair, 'CREATE TEMP TABLE picked (id int8)', 'INSERT INTO picked VALUES (2), (5), (9)');
  const statements: readonly (readonly [sql: string, values?: readonly string[]])[] = [
    ['SELECT i.id, p.id FROM items i LEFT JOIN picked p USING (id) WHERE i.price > $1', ['20']],
    ['SELECT c.code, p.id FROM countries c, picked p WHERE p.id < $1', ['6']],
    ['SELECT count(*) FROM items WHERE id IN (SELECT id FROM picked)'],
    ['UPDATE items SET price = price + 1 FROM picked p WHERE p.id = items.id RETURNING items.id'],
    ['UPDATE picked SET id = id + $1 FROM countries WHERE id = 9 AND code = $2', ['1', 'at']],
    ['DELETE FROM items WHERE id IN (SELECT id FROM picked WHERE id > $1) RETURNING *', ['5']],
    ["INSERT INTO items SELECT id, 'ten', 90 FROM picked WHERE id = $1 RETURNING *", ['10']],
    ['INSERT INTO picked SELECT id FROM items WHERE price > 90 RETURNING id'],
    ['SELECT missing FROM picked, countries'],
  ];
  for (const [sql, values = []] of statements) {
    const write = (client: WireClient): void => {
      client.parse(sql);
      client.describe('S');
      client.bind({ values });
      client.describe('P');
      client.execute();
      client.sync();
    };
    await pair.expectSame(write, { unordered: true });
    if (values.length === 0) await same(pair, sql);
  }
  await same(pair, 'SELECT id, price FROM items ORDER BY id', 'DROP TABLE picked');
  await same(pair, 'UPDATE items SET price = (id - 1) * 10, name = concat($$n$$, id)');
});

test('triggers of temporary tables come and go; rules, which might lead elsewhere, are refused', async () => {
  const pair = await open();
  await same(
    pair,
    `CREATE FUNCTION shouts() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN NEW.name := upper(NEW.name); RETURN NEW; END $$`,
    'CREATE TEMP TABLE loud (id int8, name text)',
    'CREATE TRIGGER shout BEFORE INSERT ON loud FOR EACH ROW EXECUTE FUNCTION shouts()',
    "INSERT INTO loud VALUES (1, 'a') RETURNING *",
    'DROP TRIGGER shout ON loud',
    "INSERT INTO loud VALUES (2, 'b') RETURNING *",
  );
  const rule = 'CREATE RULE r AS ON INSERT TO loud DO ALSO INSERT INTO items (id) VALUES (NEW.id)';
  pair.proxy.query(rule);
  expect(sqlStates(await pair.proxy.until('Z'))).toEqual(['0A000']);
  await same(pair, 'DROP TABLE loud', 'DROP FUNCTION shouts()');
});

describe('a temporary table', () => {
  test('is its session own, until that drops it', async () => {
    const [a, b] = [await open(), await open()];
    await same(
      a,
      'CREATE TEMP TABLE t (id int8 PRIMARY KEY, name text, v varchar(5))',
      "INSERT INTO t VALUES (1, 'one', 'x'), (2, 'two', NULL), (30, 'none', 'y')",
      'SELECT * FROM t ORDER BY id',
      "INSERT INTO t VALUES (4, 'four', 'too long')",
      "UPDATE t SET name = 'eins' WHERE id = 1 RETURNING *",
      'DELETE FROM t WHERE id = 2',
      'SELECT count(*) FROM pg_temp.t',
      'SELECT nothing FROM t',
    );
    await same(b, 'SELECT * FROM t', 'CREATE TEMP TABLE t (other int)', 'SELECT * FROM t');
    await same(a, 'SELECT t.* FROM t ORDER BY name', 'CREATE INDEX by_name ON t (name)');
    await same(a, 'ALTER TABLE t ADD extra int DEFAULT 7', 'SELECT * FROM t ORDER BY id');
    await same(
      a,
      'DROP INDEX by_name',
      'TRUNCATE t',
      'SELECT * FROM t',
      'ANALYZE t',
      'DROP TABLE t',
    );
    await same(a, 'SELECT * FROM t', 'DROP TABLE t', 'DROP TABLE IF EXISTS t');
    await same(b, 'SELECT * FROM t', 'DISCARD TEMP', 'SELECT * FROM t');
    await expect.poll(left).toBe(0);
  });

  test('joins sharded, reference and unsharded tables', async () => {
    const a = await open();
    await same(
      a,
      'CREATE TEMPORARY TABLE wanted (id int8, note text)',
      "INSERT INTO wanted VALUES (1, 'a'), (2, 'b'), (3, 'c'), (11, 'd'), (99, 'e')",
      'SELECT i.id, i.name, w.note FROM items i JOIN wanted w USING (id) ORDER BY 1',
      'SELECT w.id FROM wanted w LEFT JOIN items i USING (id) WHERE i.id IS NULL',
      'SELECT count(*) FROM items WHERE id IN (SELECT id FROM wanted)',
      'SELECT * FROM items WHERE id = 3 AND EXISTS (SELECT 1 FROM wanted w WHERE w.id = items.id)',
      'SELECT * FROM wanted, countries ORDER BY id, code',
      "SELECT * FROM wanted, settings WHERE key = 'k' ORDER BY id",
      'INSERT INTO settings SELECT note, note FROM wanted',
      'SELECT * FROM settings ORDER BY key',
      'DELETE FROM settings WHERE key IN (SELECT note FROM wanted)',
      'DROP TABLE wanted',
    );
    await expect.poll(left).toBe(0);
  });

  test('made of a query over several shards, whose columns keep the modifiers of their types', async () => {
    const a = await open();
    const types = (table: string): string =>
      `SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '${table}'::regclass AND attnum > 0 ORDER BY attnum`;
    await same(
      a,
      'CREATE TEMP TABLE one AS SELECT * FROM labels',
      types('one'),
      'SELECT * FROM one ORDER BY id',
      'CREATE TEMP TABLE two AS WITH q AS (SELECT id, code, cost FROM labels) SELECT q.code AS "The Code", cost * 2, upper(code), max(rounded) OVER () AS r, cost::numeric(4,1) FROM q JOIN labels l USING (id, code, cost)',
      types('two'),
      'SELECT count(*), min(r) FROM two',
      'SELECT fixed, count(*) INTO TEMP three FROM labels GROUP BY fixed',
      types('three'),
      'SELECT * FROM three ORDER BY fixed',
      'DISCARD ALL',
    );
  });

  test('made of a query', async () => {
    const a = await open();
    await same(
      a,
      'CREATE TEMP TABLE one AS SELECT * FROM settings',
      'SELECT * FROM one',
      "CREATE TEMP TABLE two (a, b) AS SELECT 1, 'x'::text WITH NO DATA",
      'SELECT * FROM two',
      'CREATE TEMP TABLE three AS SELECT id, name FROM items WHERE id > 3',
      'SELECT * FROM three ORDER BY id',
      'CREATE TEMP TABLE four AS SELECT name, count(*) AS n, sum(price) FROM items GROUP BY name WITH DATA',
      'SELECT * FROM four ORDER BY name',
      'CREATE TEMP TABLE five AS SELECT * FROM three JOIN items USING (id) ORDER BY id LIMIT 3',
      'SELECT * FROM five ORDER BY id',
      'CREATE TEMP TABLE IF NOT EXISTS five AS SELECT 1 AS a',
      'CREATE TEMP TABLE six AS SELECT * FROM items WHERE id = 5',
      'SELECT * FROM six',
      'SELECT key, value INTO TEMP seven FROM settings',
      'SELECT * FROM seven',
      'SELECT id, name INTO TEMP TABLE eight FROM items WHERE id > 3',
      'SELECT * FROM eight ORDER BY id',
      'SELECT name, max(price) AS top INTO TEMPORARY nine FROM items GROUP BY name',
      'SELECT * FROM nine ORDER BY name',
      'DISCARD ALL',
      'SELECT * FROM one',
    );
    await a.expectSame((client) => {
      client.parse('CREATE TEMP TABLE p AS SELECT id FROM items WHERE id > $1', '', [20]);
      client.bind({ values: ['9'] });
      client.describe('P');
      client.execute();
      client.sync();
    });
    await same(a, 'SELECT * FROM p ORDER BY id', 'DROP TABLE p');
    await expect.poll(left).toBe(0);
  });

  test('made of a query has the domains, modifiers and collations of its columns', async () => {
    const a = await open();
    for (const query of [
      'SELECT p, v, n, c, t FROM parts WHERE id < 4',
      'SELECT v, p, n, count(*) AS i, max(v) AS m, sum(n) AS s FROM parts GROUP BY v, p, n',
      'SELECT DISTINCT n, t FROM parts',
      'SELECT x.v, y.n, y.p, coalesce(x.v, y.v) AS z, n::numeric(4, 1) AS q, count(*) FROM parts x JOIN parts y USING (n) GROUP BY 1, 2, 3, 4, 5',
      'SELECT v FROM parts UNION SELECT name FROM items',
    ]) {
      await same(
        a,
        `CREATE TEMP TABLE made AS ${query}`,
        'SELECT * FROM made ORDER BY made',
        `SELECT attname, format_type(atttypid, atttypmod), attcollation FROM pg_attribute
           WHERE attrelid = 'made'::regclass AND attnum > 0 ORDER BY attnum`,
        'DROP TABLE made',
      );
    }
    await expect.poll(left).toBe(0);
  });

  test('lives and dies with transactions', async () => {
    const a = await open();
    await same(
      a,
      'BEGIN',
      'CREATE TEMP TABLE gone (id int) ON COMMIT DROP',
      'INSERT INTO gone VALUES (1)',
      'SELECT * FROM gone',
      'COMMIT',
      'SELECT * FROM gone',
      'BEGIN',
      'CREATE TEMP TABLE kept (id int) ON COMMIT DELETE ROWS',
      'INSERT INTO kept VALUES (1)',
      'SAVEPOINT s',
      'CREATE TEMP TABLE undone (id int)',
      'SELECT * FROM undone',
      'ROLLBACK TO s',
      'SELECT * FROM kept',
      'COMMIT',
      'SELECT * FROM kept',
      'BEGIN',
      'DROP TABLE kept',
      'ROLLBACK',
      'SELECT * FROM kept',
      'BEGIN',
      'CREATE TEMP TABLE failed (id int)',
      'SELECT 1/0',
      'COMMIT',
      'SELECT * FROM failed',
      'DROP TABLE kept',
    );
    await expect.poll(left).toBe(0);
  });

  test('that was dropped is back where that was undone, and nobody else has it', async () => {
    const pair = await open();
    await same(pair, 'CREATE TEMP TABLE mine AS SELECT id FROM items');
    const [elsewhere, mine] = ['SELECT count(*) FROM items', 'SELECT count(*) FROM mine'];
    for (const undone of [
      ['BEGIN', 'DROP TABLE mine', elsewhere, 'ROLLBACK'],
      ['BEGIN', 'SAVEPOINT s', 'DROP TABLE mine', elsewhere, 'ROLLBACK TO s', mine, 'ROLLBACK'],
      [`DROP TABLE mine; ${elsewhere}; SELECT 1 / 0`],
      [`DROP TABLE mine; ${elsewhere}; ROLLBACK; ${mine}`],
    ]) {
      await same(pair, ...undone, mine);
    }
    for (const end of ['COMMIT AND CHAIN', 'ROLLBACK', 'SELECT nothing']) {
      await pair.expectSame((client) => {
        for (const sql of ['DROP TABLE mine', elsewhere, end]) {
          client.parse(sql);
          client.bind({});
          client.execute();
        }
        client.sync();
      });
      await same(pair, mine);
    }
    const other = await open();
    await same(other, mine, 'BEGIN', 'CREATE TEMP TABLE mine (a int)', 'ROLLBACK');
    await same(pair, 'DROP TABLE mine', mine, elsewhere);
    await expect.poll(left).toBe(0);
  });

  test('takes part in a transaction that writes on several shards', async () => {
    const a = await open();
    await same(
      a,
      'CREATE TEMP TABLE t (id int8)',
      'BEGIN',
      'INSERT INTO t VALUES (1), (2)',
      'UPDATE items SET price = price + 1 WHERE id IN (1, 2, 3, 4, 5)',
      "UPDATE settings SET value = 'w'",
      'SELECT sum(price) FROM items WHERE id IN (SELECT id FROM t)',
      'COMMIT',
      'SELECT sum(price) FROM items WHERE id < 6',
      'SELECT * FROM settings',
      "UPDATE settings SET value = 'v'",
      'DROP TABLE t',
    );
    await expect.poll(left).toBe(0);
  });

  test('hides a permanent table of its name', async () => {
    const [a, b] = [await open(), await open()];
    await same(
      a,
      'SELECT count(*) FROM items',
      'CREATE TEMP TABLE items (id int8, own text)',
      "INSERT INTO items VALUES (1, 'mine')",
      'SELECT * FROM items',
      'SELECT count(*) FROM public.items',
      'SELECT p.id, t.own FROM public.items p JOIN items t USING (id)',
      'DROP TABLE items',
      'SELECT count(*) FROM items',
    );
    await same(b, 'SELECT count(*) FROM items');
    await expect.poll(left).toBe(0);
  });

  test('is filled by COPY, in scripts and pipelines', async () => {
    const a = await open();
    await same(a, 'CREATE TEMP TABLE t (a int, b text); INSERT INTO t VALUES (1); SELECT * FROM t');
    await a.expectSame((client) => {
      client.query('COPY t FROM STDIN');
      client.copyData('2\tx\n3\ty\n');
      client.copyDone();
    });
    await same(a, 'SELECT * FROM t ORDER BY a', 'COPY (SELECT a FROM t ORDER BY a) TO STDOUT');
    await same(a, 'COPY t TO STDOUT', 'DROP TABLE t; CREATE TEMP TABLE t (c int); SELECT * FROM t');
    await a.expectSame((client) => {
      for (const sql of [
        'CREATE TEMP TABLE q (a int)',
        'INSERT INTO q VALUES (1)',
        'SELECT * FROM q',
      ]) {
        client.parse(sql);
        client.bind();
        client.describe('P');
        client.execute();
      }
      client.sync();
    });
    await a.expectSame((client) => {
      client.parse('SELECT * FROM q', 'named');
      client.sync();
    });
    await same(a, 'ALTER TABLE q ADD b int', 'DROP TABLE q', 'DROP TABLE t');
    await expect.poll(left).toBe(0);
  });

  test('counts its own serial columns', async () => {
    const a = await open();
    await same(
      a,
      'CREATE TEMP TABLE t (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, v text)',
      "INSERT INTO t (v) VALUES ('a'), ('b') RETURNING *",
      "INSERT INTO t VALUES (DEFAULT, DEFAULT, 'c') RETURNING *",
      'INSERT INTO t (v) SELECT name FROM items WHERE id = 3 RETURNING *',
      'INSERT INTO t (v) SELECT name FROM items WHERE id IN (4, 5)',
      'SELECT count(*), max(id) FROM t',
      'DROP TABLE t',
      'CREATE TEMP SEQUENCE s',
      "SELECT nextval('s'), nextval('s')",
      'DROP SEQUENCE s',
    );
    await expect.poll(left).toBe(0);
  });

  test('goes with its client', async () => {
    const { proxy, databases } = scene;
    const a = await open();
    await same(a, 'CREATE TEMP TABLE t (a int)');
    a.close();
    const client = await WireClient.login({ port: proxy.port, database: databases.name });
    client.query('CREATE TEMP TABLE t (a int)');
    await client.until('Z');
    client.query('BEGIN; INSERT INTO t SELECT 1 FROM pg_sleep(60)');
    client.destroy();
    await expect.poll(left, { timeout: 5000 }).toBe(0);
  });

  test('cannot take every backend of the shard', async () => {
    const all = [await open(), await open(), await open(), await open()];
    await same(all[0]!, 'CREATE TEMP TABLE t (a int)');
    await same(all[1]!, 'CREATE TEMP TABLE t (a int)');
    all[2]!.proxy.query('CREATE TEMP TABLE t (a int)');
    expect(sqlStates(await all[2]!.proxy.until('Z'))).toEqual(['53000']);
    await same(all[3]!, 'SELECT * FROM settings', 'SELECT * FROM items');
    // The backend goes back in front of the session's next statement.
    await same(all[0]!, 'DROP TABLE t', 'SELECT 1');
    await same(all[3]!, 'CREATE TEMP TABLE t (a int)', 'DROP TABLE t');
    await same(all[1]!, 'DROP TABLE t');
    await expect.poll(left).toBe(0);
  });

  test('what would leave something on other servers is refused', async () => {
    const a = await open();
    const refused = [
      'CREATE TEMP VIEW v AS SELECT 1',
      "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'",
      'CREATE TYPE pg_temp.mood AS ENUM ()',
      'CREATE TEMP TABLE child () INHERITS (settings)',
      'CREATE TEMP TABLE t AS EXECUTE p',
    ];
    for (const sql of refused) {
      a.proxy.query(sql);
      expect(sqlStates(await a.proxy.until('Z')), sql).toEqual(['0A000']);
    }
    for (const sql of ['SET search_path = pg_temp, public', 'CREATE TABLE somewhere (a int)']) {
      a.proxy.query(sql);
    }
    await a.proxy.until('Z');
    expect(sqlStates(await a.proxy.until('Z'))).toEqual(['0A000']);
    expect(await left()).toBe(0);
  });
});
