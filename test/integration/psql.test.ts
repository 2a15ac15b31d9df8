import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { findTool } from '../support/tools.js';

const run = promisify(execFile);
const psql = findTool('psql');
const pgbench = findTool('pgbench');
let scene: Scene;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shardgate-psql-'));
  const bench = {
    pgbench_accounts: { shard_key: 'aid' },
    pgbench_branches: { shard_key: 'bid' },
    pgbench_tellers: { shard_key: 'tid' },
    pgbench_history: { shard_key: 'aid' },
  };
  scene = await openScene(
    'psql',
    {
      main: { settings: {} },
      shop: { items: { shard_key: 'id' }, countries: { type: 'reference' }, ...bench },
    },
    [
      `CREATE TABLE items (id int8 PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x', price numeric(10,2))`,
      'CREATE INDEX items_name ON items (name)',
      'CREATE TABLE countries (code text PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      `COMMENT ON TABLE items IS 'things'`,
    ],
  );
});
afterAll(async () => {
  await scene.close();
  rmSync(folder, { recursive: true, force: true });
});

async function output(url: string, script: string): Promise<string> {
  const file = join(folder, 'script.sql');
  writeFileSync(file, script);
  const { stdout, stderr } = await run(psql!, ['-X', '-f', file, url], { cwd: folder });
  return stdout + stderr;
}

async function expectSame(script: string): Promise<void> {
  const ours = await output(scene.proxy.url, script);
  expect(ours).toBe(await output(scene.databases.urls.oracle, script));
  expect(ours).not.toBe('');
}

describe.skipIf(psql === null)('psql', () => {
  test.each([
    '\\d',
    '\\d items',
    '\\d+ items',
    '\\dt',
    '\\di',
    '\\dx',
    '\\dT',
    '\\dd',
    '\\df now',
    '\\d nosuch',
  ])('shows the same for %s', async (command) => {
    await expectSame(command);
  });

  test('tab completion asks catalog queries that are answered', async () => {
    await expectSame(
      `SELECT pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class c ` +
        `WHERE c.relkind IN ('r', 'p') AND substring(pg_catalog.quote_ident(c.relname),1,3)='ite' ` +
        `AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1;`,
    );
  });

  test('runs a script of statements, \\gdesc, \\gset, \\; and errors in between', async () => {
    await expectSame(`
INSERT INTO items VALUES (1, 'a', 1.5), (2, 'b', NULL), (3, 'c', 3);
SELECT * FROM items WHERE id = 2;
SELECT * FROM items WHERE id = 1 \\gdesc
SELECT name AS found FROM items WHERE id = 3 \\gset
\\echo :found
SELECT 1 AS one \\; SELECT 2 AS two;
BEGIN;
UPDATE items SET price = 9 WHERE id = 1;
SELECT nonsense FROM items WHERE id = 1;
SELECT 1;
ROLLBACK;
SELECT price FROM items WHERE id = 1;
SELECT count(*) FROM items;
\\x
SELECT * FROM items WHERE id = 3;
`);
  });

  test('copies in and out with \\copy', async () => {
    const file = join(folder, 'items.csv');
    const rows = Array.from({ length: 200 }, (_, i) => `${i + 100},"name, ${i}",${i}.25`).join(
      '\n',
    );
    writeFileSync(file, `id,name,price\n${rows}\n`);
    await expectSame(`\\copy items FROM '${file}' WITH (FORMAT csv, HEADER)`);
    const back = join(folder, 'back.csv');
    await output(scene.proxy.url, `\\copy items TO '${back}' WITH (FORMAT csv)`);
    const ours = readFileSync(back, 'utf8').split('\n').sort();
    await output(scene.databases.urls.oracle, `\\copy items TO '${back}' WITH (FORMAT csv)`);
    expect(ours).toEqual(readFileSync(back, 'utf8').split('\n').sort());
  });
});

describe.skipIf(pgbench === null)('pgbench', () => {
  test('initializes and runs in every mode without an error', async () => {
    const { url } = scene.proxy;
    await run(pgbench!, ['-i', '-s', '1', url]);
    for (const mode of ['simple', 'extended', 'prepared']) {
      for (const script of ['-S', '-N']) {
        const { stdout } = await run(pgbench!, [
          script,
          '-n',
          '-M',
          mode,
          '-c',
          '6',
          '-t',
          '25',
          url,
        ]);
        expect(stdout).toContain('number of transactions actually processed: 150/150');
      }
    }
    const rows = await scene.databases.query('s0', 'SELECT count(*) > 0 FROM pgbench_accounts');
    expect(rows).toEqual([[true]]);
  });
});
