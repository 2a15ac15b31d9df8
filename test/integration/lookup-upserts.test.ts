/* ON CONFLICT about a column with a unique lookup: the row that has the value is met wherever it lies. */
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { connectPg, misplacedRows, openScene, type Scene } from '../support/scene.js';

const tables = {
  vindexes: {
    by_email: { type: 'lookup_unique', table: 'users_email_idx' },
    by_code: { type: 'lookup_unique', table: 'parts_code_idx' },
    by_label: { type: 'lookup_unique', table: 'parts_label_idx' },
  },
  shop: {
    users: { shard_key: 'id', vindex: 'by_key', lookups: { email: 'by_email' } },
    parts: { shard_key: 'id', vindex: 'by_key', lookups: { code: 'by_code', label: 'by_label' } },
    incoming: { shard_key: 'id', vindex: 'by_key' },
  },
};

let scene: Scene;
let client: pg.Client;

beforeAll(async () => {
  scene = await openScene('lookup_upserts', tables, [
    'CREATE TABLE users (id int8 PRIMARY KEY, email varchar(40) UNIQUE, name text, n int DEFAULT 0)',
    'CREATE TABLE parts (id serial PRIMARY KEY, code int8 UNIQUE, label uuid UNIQUE, n int)',
    'CREATE TABLE incoming (id int8 PRIMARY KEY, email text)',
    `INSERT INTO users SELECT i, 'u' || i || '@x.org', 'name ' || i, i FROM generate_series(1, 20) i`,
    `INSERT INTO incoming SELECT i, 'u' || i % 30 || '@x.org' FROM generate_series(100, 130) i`,
  ]);
  client = await connectPg(scene.proxy.url);
  // Lookups are filled while clients go on.
  await vi.waitFor(
    async () => {
      for (const [table, column] of [
        ['users', 'email'],
        ['parts', 'code'],
        ['parts', 'label'],
      ] as const) {
        const insert = `INSERT INTO ${table} (id, ${column}) VALUES (1, NULL)`;
        await client.query(`EXPLAIN ${insert} ON CONFLICT (${column}) DO NOTHING`);
      }
    },
    { timeout: 60_000, interval: 100 },
  );
});
afterAll(async () => {
  await client.end();
  await scene.close();
});

async function same(...queries: readonly string[]): Promise<void> {
  for (const sql of queries) await scene.comparison.expectSame(sql);
}

const all = 'SELECT * FROM users ORDER BY id';

/** Every row where its key belongs, and exactly one entry for each value, which finds it. */
async function expectSound(): Promise<void> {
  expect(await misplacedRows(scene.databases, 'users', 'id', 'hashint8extended')).toEqual([]);
  const { rows } = await client.query<{ email: string }>(
    'SELECT email FROM users WHERE email IS NOT NULL',
  );
  const entries = await scene.databases.query('main', 'SELECT value FROM users_email_idx');
  expect(entries.map(String).sort()).toEqual(rows.map(({ email }) => email).sort());
  for (const { email } of rows.slice(0, 5)) {
    const found = await client.query('SELECT 1 FROM users WHERE email = $1', [email]);
    expect(found.rowCount, email).toBe(1);
  }
}

describe('as one server does it', () => {
  test.each([
    `INSERT INTO users VALUES (901, 'u3@x.org', 'met', 1) ON CONFLICT (email) DO UPDATE SET name = excluded.name, n = users.n + 100`,
    `INSERT INTO users VALUES (902, 'new2@x.org', 'made', 1) ON CONFLICT (email) DO UPDATE SET name = 'no' RETURNING *`,
    `INSERT INTO users (id, email) VALUES (903, 'new3@x.org'), (904, 'u4@x.org'), (905, NULL), (906, 'u5@x.org')
       ON CONFLICT (email) DO UPDATE SET n = excluded.id RETURNING id, email, n`,
    `INSERT INTO users (id, email) VALUES (907, 'u6@x.org'), (908, 'new8@x.org') ON CONFLICT (email) DO NOTHING RETURNING id`,
    `INSERT INTO users (email, id) VALUES ('u7@x.org', 909) ON CONFLICT ON CONSTRAINT users_email_key DO UPDATE SET email = 'u7b@x.org'`,
    `INSERT INTO users (email, id) VALUES ('u7@x.org', 910), ('u7b@x.org', 911) ON CONFLICT (email) DO NOTHING`,
    `INSERT INTO users (id, email) VALUES (1, 'fresh@x.org'), (912, 'u2@x.org'), (913, 'n13@x.org') ON CONFLICT DO NOTHING`,
    `INSERT INTO users (id, email) VALUES (1, 'fresh@x.org') ON CONFLICT (email) DO UPDATE SET n = 1`,
    `INSERT INTO users (id, email) VALUES (914, 'twice@x.org'), (915, 'twice@x.org') ON CONFLICT (email) DO NOTHING RETURNING id`,
    `INSERT INTO users (id, email) VALUES (916, 'two@x.org'), (917, 'two@x.org') ON CONFLICT (email) DO UPDATE SET n = 7`,
    `INSERT INTO users (id, email) VALUES (918, 'u9@x.org') ON CONFLICT (email) DO UPDATE SET n = 9 WHERE users.n > 1000`,
    `INSERT INTO users SELECT id, email FROM incoming ON CONFLICT (email) DO UPDATE SET name = 'came' || excluded.id`,
    `INSERT INTO users SELECT id + 1000, email FROM incoming WHERE id = 105 ON CONFLICT DO NOTHING`,
    `INSERT INTO users (id, email) VALUES (919, repeat('x', 50)) ON CONFLICT (email) DO NOTHING`,
    `INSERT INTO users (id, email) VALUES (920, 'it''s "odd" \\ here') ON CONFLICT (email) DO UPDATE SET n = 3`,
    `INSERT INTO users (id, email) VALUES (921, 'it''s "odd" \\ here') ON CONFLICT (email) DO UPDATE SET n = 4 RETURNING id, n`,
  ])('%s', async (sql) => {
    await same(sql, all);
  });

  test('every row is where its key belongs, and every value leads to it', expectSound);

  test('with parameters, prepared and executed again', async () => {
    const sql =
      'INSERT INTO users (id, email, n) VALUES ($1, $2, $3) ON CONFLICT (email) DO UPDATE SET n = users.n + excluded.n RETURNING id, n';
    for (const id of [930, 931, 932]) {
      await scene.comparison.expectSame(sql, [id, 'param@x.org', 5]);
      await scene.comparison.expectSame(sql, [id, null, 5]).catch(() => undefined);
    }
    await same('SELECT id, n FROM users WHERE id >= 930 ORDER BY id');
  });

  test('a row without its key is an error, whether or not its value is there', async () => {
    for (const email of ['u4@x.org', 'none@x.org']) {
      const insert = `INSERT INTO users VALUES (NULL, '${email}') ON CONFLICT (email) DO NOTHING`;
      await expect(client.query(insert)).rejects.toMatchObject({
        code: expect.stringMatching(/23502|0A000/),
      });
    }
  });

  test('in transactions, with savepoints', async () => {
    await same(
      'BEGIN',
      `INSERT INTO users (id, email) VALUES (940, 'tx@x.org') ON CONFLICT (email) DO NOTHING`,
      'SAVEPOINT a',
      `INSERT INTO users (id, email) VALUES (941, 'tx@x.org'), (942, 'tx2@x.org') ON CONFLICT (email) DO UPDATE SET n = 5`,
      'ROLLBACK TO a',
      `DELETE FROM users WHERE email = 'tx@x.org'`,
      `INSERT INTO users (id, email) VALUES (943, 'tx@x.org') ON CONFLICT (email) DO UPDATE SET n = 6 RETURNING id`,
      'COMMIT',
      all,
      'BEGIN',
      `INSERT INTO users (id, email) VALUES (944, 'gone@x.org') ON CONFLICT (email) DO NOTHING`,
      'ROLLBACK',
      `SELECT count(*) FROM users WHERE email = 'gone@x.org'`,
    );
    await expectSound();
  });

  test('with ids that are made, and two unique columns of other types', async () => {
    const uuid = (n: number): string => `'00000000-0000-0000-0000-00000000000${n}'`;
    await same(
      `INSERT INTO parts (code, label) VALUES (5, ${uuid(1)}), (6, ${uuid(2)}) ON CONFLICT (code) DO NOTHING`,
      `INSERT INTO parts (code, label, n) VALUES (5, ${uuid(3)}, 1) ON CONFLICT (code) DO UPDATE SET n = 1 RETURNING code, label, n`,
      `INSERT INTO parts (code, label, n) VALUES (9, ${uuid(2)}, 1) ON CONFLICT (label) DO UPDATE SET n = 2 RETURNING code, label, n`,
      'SELECT code, label, n FROM parts ORDER BY code',
    );
    const taken = await client
      .query(`INSERT INTO parts (code, label) VALUES (7, ${uuid(1)}) ON CONFLICT (code) DO NOTHING`)
      .catch((error: pg.DatabaseError) => error);
    expect(taken).toMatchObject({ code: '23505', constraint: 'parts_label_key' });
    await scene.comparison.expectRefused(
      'INSERT INTO parts (code) VALUES (1) ON CONFLICT DO NOTHING',
    );
    await scene.comparison.expectRefused(
      `WITH made AS (INSERT INTO users (id, email) VALUES (922, 'u10@x.org')
         ON CONFLICT (email) DO UPDATE SET n = 77 RETURNING id) SELECT * FROM made`,
    );
    await scene.comparison.expectRefused(
      `INSERT INTO users (id, email) VALUES (923, 'u10@x.org') ON CONFLICT (email) DO UPDATE SET id = excluded.id`,
    );
    await scene.comparison.expectRefused(
      `INSERT INTO users (id, email) VALUES (923, 'a') ON CONFLICT (lower(email)) DO NOTHING`,
    );
  });
});

test('many clients that insert the same values at once meet each other', async () => {
  const clients = await Promise.all(Array.from({ length: 4 }, () => connectPg(scene.proxy.url)));
  const made = new Set<string>();
  const insert = async (one: pg.Client, id: number, email: string): Promise<void> => {
    const { rows } = await one.query<{ id: string }>(
      `INSERT INTO users (id, email, n) VALUES ($1, $2, 1)
       ON CONFLICT (email) DO UPDATE SET n = users.n + 1 RETURNING id`,
      [id, email],
    );
    made.add(`${email}: ${rows[0]!.id}`);
  };
  await Promise.all(
    clients.map(async (one, who) => {
      for (let i = 0; i < 15; i++) await insert(one, 2000 + who * 100 + i, `race${i}@x.org`);
    }),
  );
  await Promise.all(clients.map((one) => one.end()));
  expect(made.size).toBe(15);
  const { rows } = await client.query(
    `SELECT count(*)::int AS rows, min(n) AS least, max(n) AS most FROM users WHERE email LIKE 'race%'`,
  );
  expect(rows).toEqual([{ rows: 15, least: 4, most: 4 }]);
  await client.query(`DELETE FROM users WHERE id >= 2000`);
  await expectSound();
});

test('a row that meets another one than its value says is refused where that would be elsewhere', async () => {
  await client.query(`INSERT INTO users (id, email) VALUES (950, 'a@x.org')`);
  for (const [first, second] of [
    [950, 951],
    [950, 952],
    [950, 953],
    [950, 954],
  ]) {
    const sql = `INSERT INTO users (id, email) VALUES (${first}, 'eq${second}@x.org'), (${second}, 'eq${second}@x.org') ON CONFLICT DO NOTHING`;
    await client.query(sql).then(
      ({ rowCount }) => expect(rowCount).toBe(1),
      (error: pg.DatabaseError) => expect(error.code).toBe('0A000'),
    );
  }
  await client.query('DELETE FROM users WHERE id >= 950');
  await expectSound();
});
