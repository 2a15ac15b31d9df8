/* AUDIT finds rows that stand where they do not belong, and REPAIR moves them. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../scripts/lib/project.mjs';
import type { ServerName } from '../support/servers.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';

const tables = {
  vindexes: {
    by_text: { type: 'xxhash' },
    by_n: { type: 'lookup', table: 'document_n_idx' },
    by_code: { type: 'lookup_unique', table: 'badge_code_idx' },
  },
  main: { settings: {} },
  shop: {
    people: { shard_key: 'id' },
    documents: { shard_key: 'name', vindex: 'by_text', lookups: { n: 'by_n' } },
    notes: { shard_key: 'person' },
    countries: { type: 'reference' },
    badges: { shard_key: 'id', lookups: { code: 'by_code' } },
  },
};

const schema = [
  `CREATE TABLE people (
     id bigint, name text, born timestamptz, ratio float8, tags text[], extra jsonb,
     letters int GENERATED ALWAYS AS (length(name)) STORED,
     PRIMARY KEY (id)) PARTITION BY HASH (id)`,
  'CREATE TABLE people_0 PARTITION OF people FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
  'CREATE TABLE people_1 PARTITION OF people FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
  `INSERT INTO people (id, name, born, ratio, tags, extra)
   SELECT i, E'it''s \\\\ number ' || i, '2024-02-29 12:00:00.123456+02', 1.0 / i, ARRAY['a b', NULL],
          '{"k": [1, null]}' FROM generate_series(1, 60) i`,
  'CREATE TABLE documents (name varchar(30) PRIMARY KEY, n int)',
  `INSERT INTO documents SELECT 'doc ' || i, i FROM generate_series(1, 40) i`,
  'CREATE TABLE notes (person bigint REFERENCES people ON DELETE CASCADE, note text)',
  'CREATE TABLE countries (code char(2) PRIMARY KEY, name text)',
  `INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')`,
  'CREATE TABLE settings (name text PRIMARY KEY)',
  'CREATE TABLE badges (id bigint PRIMARY KEY, code text UNIQUE)',
  "INSERT INTO badges SELECT i, 'b' || i FROM generate_series(1, 40) i",
];

const SHARDS = ['s0', 's1', 's2', 's3'] as const;

let scene: Scene;
let admin: pg.Client;
const notices: string[] = [];

beforeAll(async () => {
  scene = await openScene('audit', tables, schema);
  const url = new URL(scene.proxy.url);
  url.pathname = '/shardgate';
  admin = await connectPg(url.href);
  admin.on('notice', ({ message }) => notices.push(message ?? ''));
});

afterAll(async () => {
  await admin.end();
  await scene.close();
});

interface Line {
  readonly table: string;
  readonly shard: string;
  readonly wrong: string | null;
  readonly detail: string;
}

async function wrongOnes(table = ''): Promise<Line[]> {
  const { rows } = await admin.query<Line>(`AUDIT ${table}`);
  return rows.filter(({ wrong }) => wrong !== '0');
}

/** Rows of a table on a shard, as a proxy that goes past the keys would see them. */
async function ids(shard: ServerName, table: string, key: string): Promise<string[]> {
  const rows = await scene.databases.query(shard, `SELECT ${key}::text FROM ${table} ORDER BY 1`);
  return rows.map(([id]) => String(id));
}

/** Takes a few rows from a shard to another one behind the proxy's back. */
async function misplace(table: string, from: ServerName, to: ServerName): Promise<number> {
  const columns = table === 'people' ? 'id, name, born, ratio, tags, extra' : 'name, n';
  const [[rows] = []] = await scene.databases.query(from, `SELECT json_agg(t) FROM ${table} t`);
  // As if nothing looked after lookups.
  const quietly = `SET shardgate.lookups = 'unchanged'`;
  await scene.databases.onEach([from], `${quietly}; DELETE FROM ${table}`);
  await scene.databases.onEach(
    [to],
    `${quietly}; INSERT INTO ${table} (${columns}) SELECT ${columns}
     FROM json_populate_recordset(null::${table}, $json$${JSON.stringify(rows)}$json$)`,
  );
  return (rows as unknown[]).length;
}

describe('rows', () => {
  test('a sound cluster is told shard by shard, with what was looked at', async () => {
    const { rows } = await admin.query<Record<string, string>>('AUDIT people');
    expect(rows.map(({ shard }) => shard)).toEqual(['s0', 's1', 's2', 's3']);
    expect(rows.reduce((sum, { rows: count }) => sum + Number(count), 0)).toBe(60);
    expect(await wrongOnes()).toEqual([]);
  });

  test.each([
    ['people', 'id'],
    ['documents', 'name'],
  ])('of %s on a wrong shard are counted, and moved as they are', async (table, key) => {
    const count = await misplace(table, 's1', 's2');
    expect(count).toBeGreaterThan(3);
    const [found, ...others] = await wrongOnes(table);
    expect(others).toEqual([]);
    expect(found).toMatchObject({ table: `public.${table}`, shard: 's2', wrong: String(count) });
    expect(found!.detail).toMatch(new RegExp(`^${count} belong to s1 \\(such as ${key} .+\\)$`));

    const { rows } = await admin.query(`REPAIR ${table}`);
    expect(rows).toEqual([
      { table: `public.${table}`, shard: 's2', moved: String(count), left: '0', detail: '' },
    ]);
    expect(await wrongOnes(table)).toEqual([]);
    await scene.comparison.expectSame(`SELECT * FROM ${table} ORDER BY ${key}`);
  });

  test('of a table elsewhere are found in its empty copies, and brought home', async () => {
    await scene.databases.query('s3', `INSERT INTO settings VALUES ('lost')`);
    const count = await misplace('people', 's0', 'main');
    expect(await wrongOnes()).toMatchObject([
      { table: 'public.settings', shard: 's3', wrong: '1' },
      { table: 'public.people', shard: 'main', wrong: String(count) },
    ]);
    await admin.query('REPAIR settings');
    await admin.query('REPAIR people');
    expect(await wrongOnes()).toEqual([]);
    expect(await ids('main', 'settings', 'name')).toEqual(['lost']);
    await scene.comparison.expectSame('SELECT * FROM people ORDER BY id');
  });

  test('that meet another row with their key stay, and are named', async () => {
    const [id] = await ids('s3', 'people', 'id');
    await scene.databases.query('s0', `INSERT INTO people (id, name) VALUES (${id}, 'another')`);
    const count = await misplace('people', 's1', 's0');
    const { rows } = await admin.query('REPAIR people');
    expect(rows).toEqual([
      {
        table: 'public.people',
        shard: 's0',
        moved: String(count),
        left: '1',
        detail: `id ${id} is on s3 too`,
      },
    ]);
    await scene.databases.query('s0', `DELETE FROM people WHERE name = 'another'`);
    expect(await wrongOnes('people')).toEqual([]);
    await scene.comparison.expectSame('SELECT * FROM people ORDER BY id');
  });
});

test('REPAIR takes a row away without those that refer to it', async () => {
  const [id] = await ids('s0', 'people', 'id');
  await scene.databases.query('s0', `DELETE FROM people WHERE id = ${id}`);
  await scene.databases.query('s2', `INSERT INTO people (id, name) VALUES (${id}, 'parent')`);
  await scene.databases.query('s2', `INSERT INTO notes VALUES (${id}, 'child')`);
  await admin.query('REPAIR people');
  expect(await ids('s2', 'notes', 'note')).toEqual(['child']);
  await admin.query('REPAIR notes');
  expect(await ids('s0', 'notes', 'note')).toEqual(['child']);
  expect(await wrongOnes()).toEqual([]);
});

test('the command line tells the same, and whether all is well by its exit code', async () => {
  const sound = await auditFile('people');
  expect(sound).toEqual({
    code: 0,
    output: expect.stringMatching(/^public.people: 60 rows, sound\n$/) as unknown,
  });
  await scene.databases.query('main', 'INSERT INTO notes (note) VALUES (NULL)');
  await scene.databases.query('s1', 'INSERT INTO notes (note) VALUES (NULL)');
  const { code, output } = await auditFile();
  expect(code).toBe(3);
  expect(output).toContain('public.notes: 3 rows, not sound\n');
  expect(output).toContain('  s1 (rows): 1 of 1 wrong: 1 belongs to no shard (person is NULL)\n');
  expect(output).toContain('  main (shell): 1 of 1 wrong: ');
  const { rows } = await admin.query('REPAIR notes');
  expect(rows).toMatchObject([
    { shard: 'main', moved: '0', left: '1', detail: '1 belong to no shard' },
    { shard: 's1', moved: '0', left: '1' },
  ]);
  for (const shard of ['main', 's1'] as const) {
    await scene.databases.query(shard, 'DELETE FROM notes WHERE person IS NULL');
  }
  expect(await auditFile('nothing')).toMatchObject({ code: 2 });
});

test('without a console, rows are counted once, however many copies and entries there are', async () => {
  for (const [table, shard] of [
    ['documents', null],
    ['countries', 's0'],
  ] as const) {
    const counts = await Promise.all(
      (shard === null ? SHARDS : [shard]).map((name) =>
        scene.databases.query(name, `SELECT count(*)::int FROM ${table}`),
      ),
    );
    const rows = counts.reduce((sum, [row]) => sum + (row![0] as number), 0);
    expect(rows).toBeGreaterThan(0);
    expect((await auditFile(table)).output).toContain(`public.${table}: ${rows} rows, sound`);
  }
});

async function auditFile(...args: string[]): Promise<{ code: number; output: string }> {
  const command = ['dist/main.js', 'audit', scene.proxy.configFile, ...args];
  try {
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, command, { cwd: projectRoot });
    return { code: 0, output: stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, output: stdout };
  }
}

test('copies of a reference table that differ are told', async () => {
  await scene.databases.query('s2', `UPDATE countries SET name = 'Frankreich' WHERE code = 'fr'`);
  expect(await wrongOnes('countries')).toMatchObject([
    { shard: 's2', wrong: null, detail: 'differs from the copy on s0' },
  ]);
  expect(notices.some((text) => text.includes('copies differ'))).toBe(true);
  await expect(admin.query('REPAIR countries')).rejects.toMatchObject({ code: '0A000' });
  await scene.databases.query('s2', `UPDATE countries SET name = 'France' WHERE code = 'fr'`);
  expect(await wrongOnes('countries')).toEqual([]);
});

describe('refused', () => {
  test('are tables that nobody knows, and what stands behind them', async () => {
    await expect(admin.query('AUDIT nothing')).rejects.toMatchObject({ code: '42P01' });
    await expect(admin.query('REPAIR')).rejects.toMatchObject({ code: '42601' });
    await expect(admin.query('REPAIR people now')).rejects.toMatchObject({ code: '42601' });
  });

  test('is REPAIR where a trigger would change rows on their way', async () => {
    await scene.databases.query(
      's0',
      `CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
    );
    await scene.databases.query(
      's0',
      'CREATE TRIGGER kept BEFORE INSERT ON documents FOR EACH ROW EXECUTE FUNCTION keep()',
    );
    await scene.databases.query('s0', 'ALTER TABLE documents ENABLE ALWAYS TRIGGER kept');
    await expect(admin.query('REPAIR documents')).rejects.toMatchObject({
      code: '0A000',
      message: expect.stringContaining('trigger "kept" fires always') as unknown,
    });
    await scene.databases.query('s0', 'DROP TRIGGER kept ON documents');
  });
});

describe('lookups', () => {
  const isReady = async (): Promise<boolean> => {
    const { rows } = await admin.query<{ check: string; rows: string }>('AUDIT badges');
    return (
      rows.filter(({ check, rows: seen }) => check === 'lookup of code' && seen !== '0').length > 1
    );
  };
  /** As if nothing looked after lookups. */
  const spoil = async (server: ServerName, sql: string): Promise<void> => {
    await scene.databases.onEach([server], `SET shardgate.lookups = 'unchanged'; ${sql}`);
  };
  const entries = (): Promise<unknown[][]> =>
    scene.databases.query('main', 'SELECT value, keyspace_id FROM badge_code_idx ORDER BY 1, 2');

  test('entries that are missing and entries without a row are counted, and mended', async () => {
    await expect.poll(isReady, { timeout: 30_000 }).toBe(true);
    expect(await wrongOnes('badges')).toEqual([]);
    const before = await entries();
    await scene.databases.onEach(
      ['main'],
      "DELETE FROM badge_code_idx WHERE value IN ('b3', 'b4', 'b5');" +
        "INSERT INTO badge_code_idx VALUES ('gone', 1), ('gone too', -5)",
    );
    const wrong = await wrongOnes('badges');
    const details = wrong.map(
      ({ shard, detail }) => `${shard === 'main' ? shard : 's'}: ${detail}`,
    );
    expect(details.join('\n')).toMatch(
      /s: values without an entry.*: \d \(such.*\n.*main: entries that.*: 2 /s,
    );
    const { rows } = await admin.query('REPAIR badges');
    expect(rows).toMatchObject([{ table: 'public.badges', shard: 'main', moved: '5', left: '0' }]);
    expect(await entries()).toEqual(before);
    expect((await admin.query('REPAIR badges')).rows).toEqual([]);
    expect(await wrongOnes('badges')).toEqual([]);
  });

  test('an entry that leads to another row is told: values are there twice', async () => {
    const [own] = await ids('s0', 'badges', 'id');
    const [other] = await ids('s1', 'badges', 'id');
    await spoil('s0', `UPDATE badges SET code = 'b${other}' WHERE id = ${own}`);
    const wrong = await wrongOnes('badges');
    expect(wrong).toMatchObject([
      { shard: 's0', detail: expect.stringContaining(`such as b${other}`) as string },
      { shard: 'main', detail: expect.stringContaining(`such as b${own}`) as string },
    ]);
    const { rows } = await admin.query('REPAIR badges');
    const detail = `more than one row has code b${other}`;
    expect(rows).toMatchObject([{ shard: 'main', moved: '1', left: '1', detail }]);
    await spoil('s0', `UPDATE badges SET code = 'b${own}' WHERE id = ${own}`);
    expect((await admin.query('REPAIR badges')).rows).toMatchObject([{ moved: '1', left: '0' }]);
    expect(await wrongOnes('badges')).toEqual([]);
  });

  test('are mended beside writers, who miss nothing', async () => {
    const client = await connectPg(scene.proxy.url);
    let over = false;
    const writing = (async () => {
      for (let i = 1; !over; i = (i % 40) + 1) {
        await client.query('DELETE FROM badges WHERE id = $1', [i]);
        await client.query('INSERT INTO badges VALUES ($1, $2)', [i, `b${i}`]);
      }
    })();
    try {
      for (let round = 0; round < 5; round++) {
        await scene.databases.onEach(['main'], "DELETE FROM badge_code_idx WHERE value LIKE 'b1%'");
        await admin.query('REPAIR badges');
      }
    } finally {
      over = true;
      await writing;
    }
    expect(await wrongOnes('badges')).toEqual([]);
    expect(await entries()).toHaveLength(40);
    await client.end();
  });
});
