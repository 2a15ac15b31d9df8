import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { sqlStates, WirePair } from '../support/wire-pair.js';

/** Keys of `items` that lie on different shards, by the servers' own hash. */
let keys: readonly [number, number, number];
let scene: Scene;
let pair: WirePair;

beforeAll(async () => {
  scene = await openScene(
    'settings',
    { main: {}, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE items (id int PRIMARY KEY, v text)',
      'CREATE SCHEMA other',
      'CREATE TABLE other.items (id int PRIMARY KEY, v text)',
    ],
  );
  const rows = await scene.databases.query(
    'oracle',
    `SELECT min(k)::int FROM generate_series(1, 400) k
      GROUP BY (hashint4extended(k, 0) >> 62) & 3 ORDER BY 1 LIMIT 3`,
  );
  keys = rows.map(([key]) => key) as [number, number, number];
  for (const key of keys) {
    await scene.comparison.both(`INSERT INTO items VALUES (${key}, 'public')`);
    await scene.comparison.both(`INSERT INTO other.items VALUES (${key}, 'other')`);
  }
});
afterAll(async () => {
  await scene.close();
});
beforeEach(async () => {
  pair = await open();
});
afterEach(() => {
  pair.close();
});

function open(parameters: Readonly<Record<string, string>> = {}): Promise<WirePair> {
  const { proxy, oraclePort, databases } = scene;
  return WirePair.open(proxy.port, oraclePort, { database: databases.name, parameters });
}

/** Each text is a Query of its own; every message of the answers must be the same. */
async function same(...queries: readonly string[]): Promise<void> {
  for (const sql of queries) {
    await pair.expectSame((client) => {
      client.query(sql);
    });
  }
}

/** The setting as the shard of a key sees it. */
function seen(name: string, key: number): string {
  return `SELECT id, current_setting('${name}') FROM items WHERE id = ${key}`;
}

describe('a rollback takes settings back', () => {
  test('and tells the client so, before any statement has run', async () => {
    await same('BEGIN', "SET application_name = 'x'", "SET TimeZone = 'utc'", 'ROLLBACK');
    await same('SHOW application_name', 'SHOW timezone');
  });

  test('and tells the client so behind a statement', async () => {
    await same('BEGIN', "SET application_name = 'x'", seen('application_name', keys[0]));
    await same('ROLLBACK', seen('application_name', keys[0]), seen('application_name', keys[1]));
  });

  test('on every shard, however it joined', async () => {
    await same('BEGIN', seen('work_mem', keys[0]), "SET work_mem = '5MB'");
    await same(seen('work_mem', keys[1]), "SET work_mem = '6MB'", seen('work_mem', keys[2]));
    await same('ROLLBACK', ...keys.map((key) => seen('work_mem', key)));
  });

  test('those of set_config too', async () => {
    await same('BEGIN', "SELECT set_config('work_mem', '6MB', false)");
    await same(seen('work_mem', keys[1]), 'ROLLBACK', ...keys.map((key) => seen('work_mem', key)));
  });

  test('while a commit keeps them', async () => {
    await same('BEGIN', seen('work_mem', keys[0]), "SET work_mem = '5MB'", 'SAVEPOINT a');
    await same("SET work_mem = '6MB'", seen('work_mem', keys[1]), 'RELEASE a', 'COMMIT');
    await same(...keys.map((key) => seen('work_mem', key)), 'RESET work_mem');
    await same(...keys.map((key) => seen('work_mem', key)));
  });
});

describe('ROLLBACK TO a savepoint takes settings back', () => {
  test('on a shard that joined behind the SET', async () => {
    await same('BEGIN', 'SAVEPOINT a', "SET work_mem = '5MB'", seen('work_mem', keys[0]));
    await same('ROLLBACK TO a', seen('work_mem', keys[0]), seen('work_mem', keys[1]), 'COMMIT');
    await same(...keys.map((key) => seen('work_mem', key)));
  });

  test('to what was set in front of it', async () => {
    await same('BEGIN', "SET work_mem = '5MB'", 'SAVEPOINT a', "SET work_mem = '6MB'");
    await same(seen('work_mem', keys[0]), 'SAVEPOINT b', 'RESET work_mem');
    await same(seen('work_mem', keys[1]), 'ROLLBACK TO b');
    await same(...keys.map((key) => seen('work_mem', key)), 'ROLLBACK TO a');
    await same(...keys.map((key) => seen('work_mem', key)), 'COMMIT');
    await same(...keys.map((key) => seen('work_mem', key)));
  });

  test('and tells the client so, before any statement has run', async () => {
    await same('BEGIN', "SET application_name = 'one'", 'SAVEPOINT a');
    await same("SET application_name = 'two'", "SET application_name = 'three'");
    await same('ROLLBACK TO a', 'COMMIT', 'SHOW application_name');
  });

  test('local ones too', async () => {
    await same('BEGIN', seen('work_mem', keys[0]), 'SAVEPOINT a', "SET LOCAL work_mem = '5MB'");
    await same("SET work_mem = '6MB'", seen('work_mem', keys[1]), "SET LOCAL work_mem = '7MB'");
    await same(seen('work_mem', keys[2]), 'ROLLBACK TO a');
    await same(...keys.map((key) => seen('work_mem', key)), 'COMMIT');
  });
});

test('a SET behind a SET LOCAL wins, and what is local ends with the transaction', async () => {
  await same('BEGIN', "SET LOCAL work_mem = '5MB'", "SET work_mem = '6MB'");
  await same(seen('work_mem', keys[0]), "SET LOCAL work_mem = '7MB'");
  await same(seen('work_mem', keys[1]), 'COMMIT', ...keys.map((key) => seen('work_mem', key)));
});

test('RESET goes back to what the client asked for at its login, on every shard', async () => {
  pair.close();
  pair = await open({ work_mem: '9MB', application_name: 'me', options: '-c lock_timeout=7s' });
  await same("SET work_mem = '5MB'", 'BEGIN', seen('work_mem', keys[0]), 'RESET work_mem');
  await same(seen('work_mem', keys[1]), "SET LOCAL work_mem = '6MB'");
  await same('SET LOCAL work_mem TO DEFAULT', seen('work_mem', keys[2]), 'RESET ALL');
  await same(seen('lock_timeout', keys[0]), seen('application_name', keys[2]), 'COMMIT');
  await same(...keys.map((key) => seen('work_mem', key)), 'SHOW application_name');
});

test('RESET ALL leaves the role alone', async () => {
  await same('SET ROLE pg_monitor', 'RESET ALL', 'SHOW role', 'RESET ROLE', 'SHOW role');
});

test('application_name is empty where the client gave none', async () => {
  await same('SHOW application_name', seen('application_name', keys[0]));
  await same("SET application_name = 'x'", 'RESET application_name', 'SHOW application_name');
  await same("SET application_name = 'x'", 'RESET ALL', seen('application_name', keys[1]));
});

describe('tables are looked up by the search path of the moment', () => {
  const all = 'SELECT v FROM items WHERE id > 0 ORDER BY id LIMIT 1';
  const one = (): string => `SELECT v FROM items WHERE id = ${keys[1]}`;

  test('within one Query', async () => {
    await same(`SET search_path = other; ${one()}; ${all}`, `SET search_path = public; ${one()}`);
    await same(`SELECT set_config('search_path', 'other', false); ${one()}`);
    await same(`RESET search_path; ${one()}`);
  });

  test('behind SET LOCAL, until the transaction or a savepoint ends', async () => {
    await same('BEGIN', 'SAVEPOINT a', 'SET LOCAL search_path = other', one());
    await same(
      'ROLLBACK TO a',
      one(),
      'SET search_path = public',
      one(),
      'SET LOCAL search_path = other',
      one(),
    );
    await same('ROLLBACK', one());
    await scene.comparison.expectSame(
      `BEGIN; SET LOCAL search_path = other; ${one()}; COMMIT; ${one()}`,
    );
  });

  test('of prepared statements too', async () => {
    await pair.expectSame((client) => {
      client.parse('SELECT v FROM items WHERE id = $1', 'named');
      client.sync();
    });
    for (const path of ['other', 'public']) {
      await same(`SET search_path = ${path}`);
      await pair.expectSame((client) => {
        client.bind({ statement: 'named', values: [String(keys[1])] });
        client.execute();
        client.sync();
      });
    }
  });
});

test.each([
  ['SET SESSION AUTHORIZATION DEFAULT', 'RESET ALL', 'CLOSE ALL', 'DISCARD TEMP'],
  ['ABORT', 'RESET ALL', 'RESET SESSION AUTHORIZATION'],
  ['DISCARD ALL'],
])('what a pool says before it lends a connection again: %s', async (...texts) => {
  await same('SET ROLE pg_monitor', "SET timezone = 'Asia/Tokyo'", ...texts, 'SHOW role');
  await same(...keys.map((key) => seen('timezone', key)), ...keys.map((key) => seen('role', key)));
});

test('a time zone may be an interval, and follows to every shard', async () => {
  await same("SET TIME ZONE INTERVAL '+02:30' HOUR TO MINUTE", 'SHOW timezone');
  await same(...keys.map((key) => seen('TimeZone', key)));
});

test('what one client has set is nothing that another one is told or planned by', async () => {
  const parameters = { search_path: 'other', DateStyle: 'ISO, DMY' };
  const others = await Promise.all([0, 1, 2, 3].map(() => open(parameters)));
  // Every backend of the pool has been theirs when the catalog is loaded again.
  const both = others.flatMap(({ proxy, oracle }) => [proxy, oracle]);
  for (const sql of ['BEGIN; SELECT FROM pg_class LIMIT 1', 'COMMIT']) {
    for (const client of both) client.query(sql);
    await Promise.all(both.map((client) => client.until('Z')));
  }
  await others[0]!.expectSame((client) => {
    client.query('SET client_min_messages = warning; CREATE TABLE later (id int)');
  });
  for (const each of others) each.close();
  const next = await open();
  try {
    for (const sql of ['SHOW datestyle', 'SELECT v FROM items ORDER BY id LIMIT 1']) {
      await next.expectSame((client) => {
        client.query(sql);
      });
    }
  } finally {
    next.close();
  }
});

test('SET LOCAL in the middle of a script without BEGIN is refused for other shards', async () => {
  pair.proxy.query(`SET LOCAL work_mem = '5MB'; SELECT v FROM items WHERE id = ${keys[0]}`);
  expect(sqlStates(await pair.proxy.until('Z'))).toEqual(['0A000']);
});

test('SET LOCAL in the middle of a script without BEGIN says what names mean behind it', async () => {
  await same(`SET LOCAL search_path = other; SELECT v FROM items WHERE id = ${keys[0]}`);
  await same(`SELECT v FROM items WHERE id = ${keys[0]}`);
});

describe('names that a session makes up', () => {
  const now = (name: string, key: number): string =>
    `SELECT id, current_setting('${name}', true) FROM items WHERE id = ${key}`;
  const everywhere = (name: string): string[] => keys.map((key) => now(name, key));

  test('are empty and not unknown, once named', async () => {
    await same(now('made.one', keys[0]), "SET made.one = 'x'", 'RESET made.one');
    await same(...everywhere('made.one'), 'SHOW made.one', 'RESET ALL', ...everywhere('made.one'));
    await same('DISCARD ALL', ...everywhere('made.one'), 'SHOW made.two', 'RESET made.two');
    await same('SHOW made.two', "SELECT set_config('made.three', NULL, false)");
    await same(...everywhere('made.three'));
  });

  test('are unknown where only other clients have named them', async () => {
    for (const name of ['made.theirs', 'made.failed']) {
      const before = pair;
      pair = await open();
      await same(...everywhere(name), `SHOW ${name}`, `SET ${name} = 'x'`, ...everywhere(name));
      await same(
        'BEGIN',
        `SET LOCAL ${name}.deep = 'x'`,
        ...everywhere(`${name}.deep`),
        'ROLLBACK',
      );
      await same("SELECT set_config('made.failed', 'x', true), 1 / 0");
      pair.close();
      pair = before;
      await same(...everywhere(name), `SHOW ${name}`, ...everywhere(`${name}.deep`));
    }
    await same("SELECT set_config('made.theirs', NULL, false)", ...everywhere('made.theirs'));
  });

  test('also where they were named in what is over or void', async () => {
    await same('BEGIN', "SET LOCAL made.local = 'x'", now('made.local', keys[0]), 'COMMIT');
    await same(...everywhere('made.local'), 'BEGIN', "SET made.void = 'x'", 'ROLLBACK');
    await same(...everywhere('made.void'), 'BEGIN', 'SAVEPOINT a', "SET made.sub = 'x'");
    await same('ROLLBACK TO a', now('made.sub', keys[1]), 'COMMIT', ...everywhere('made.sub'));
  });
});

test('several settings by one SELECT', async () => {
  await same(
    'BEGIN',
    `SELECT set_config('role', 'pg_read_all_data', true), set_config('made.claims', '{}', true),
            set_config('search_path', 'other', true)`,
    'SELECT current_user',
    ...keys.map((key) => `SELECT v, current_setting('made.claims') FROM items WHERE id = ${key}`),
  );
  await same('ROLLBACK', `SELECT current_user`, ...keys.map((key) => seen('search_path', key)));
});

describe('within a text or a pipeline', () => {
  test.each(['RESET ALL', 'RESET application_name', 'SET application_name TO DEFAULT'])(
    '%s goes back to what the client asked for',
    async (reset) => {
      pair.close();
      pair = await open({ application_name: 'me', work_mem: '9MB', search_path: 'other, public' });
      const shown = ['application_name', 'work_mem', 'search_path'];
      const texts = [
        ...shown.map((name) => `SET ${name} = ${name === 'work_mem' ? "'5MB'" : 'x'}`),
        reset,
        ...shown.map((name) => `SHOW ${name}`),
        ...shown.map((name) => seen(name, keys[0]).replace('items', 'other.items')),
      ];
      await same(texts.join(';'), ...texts.slice(3));
      await pair.expectSame((client) => {
        for (const sql of texts) {
          client.parse(sql);
          client.bind({});
          client.execute();
        }
        client.sync();
      });
      await same(...texts.slice(4));
    },
  );

  test('DISCARD ALL is refused', async () => {
    await same("SET work_mem = '5MB'; DISCARD ALL", 'SHOW work_mem');
    await pair.expectSame((client) => {
      for (const sql of ['SELECT 1', 'DISCARD ALL']) {
        client.parse(sql);
        client.bind({});
        client.execute();
      }
      client.sync();
    });
  });

  test('SET LOCAL holds to its end', async () => {
    const texts = ["SET LOCAL work_mem = '5MB'", 'SHOW work_mem'];
    await same(texts.join(';'), 'SHOW work_mem');
    await pair.expectSame((client) => {
      for (const sql of texts) {
        client.parse(sql);
        client.bind({});
        client.execute();
      }
      client.sync();
    });
    await same('SHOW work_mem');
  });
});
