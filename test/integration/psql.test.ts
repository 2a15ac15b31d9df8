import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { findTool } from '../support/tools.js';

const psql = findTool('psql');
let scene: Scene;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shardgate-psql-'));
  scene = await openScene(
    'psql',
    {
      main: { settings: {}, scripted: {} },
      shop: {
        customers: { shard_key: 'id', vindex: 'by_key' },
        countries: { type: 'reference' },
      },
    },
    [
      'CREATE TABLE countries (code char(2) PRIMARY KEY, name text)',
      `CREATE TABLE customers (id int8 PRIMARY KEY, name varchar(40) NOT NULL DEFAULT 'x', country char(2),
         CONSTRAINT named CHECK (name <> ''))`,
      'CREATE INDEX customers_name ON customers (name)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      'CREATE VIEW german AS SELECT code, name FROM countries WHERE code = $$de$$',
      `INSERT INTO customers VALUES (1, 'a', 'de'), (2, 'b', 'fr'), (3, 'c', NULL)`,
      `INSERT INTO settings VALUES ('k', 'v')`,
    ],
  );
});
afterAll(async () => {
  await scene.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Run {
  readonly code: number;
  readonly output: string;
}

function run(url: string, args: readonly string[], input = ''): Promise<Run> {
  return new Promise((resolve) => {
    const child = execFile(
      psql!,
      ['-X', '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=never', ...args, url],
      { env: { ...process.env, PGCONNECT_TIMEOUT: '5', PAGER: 'cat' } },
      (error, stdout, stderr) => {
        const output = (stdout + stderr)
          // Source lines of the server, times, and the two servers' addresses differ.
          .replaceAll(/^LOCATION: .*\n/gm, '')
          .replaceAll(/Time: [\d.]+ ms/g, 'Time')
          .replaceAll(/port "\d+"/g, 'port');
        resolve({ code: error === null ? 0 : Number(error.code), output });
      },
    );
    child.stdin!.end(input);
  });
}

async function expectEqualOutput(args: readonly string[], input = ''): Promise<Run> {
  const [ours, theirs] = await Promise.all([
    run(scene.proxy.url, args, input),
    run(scene.databases.urls.oracle, args, input),
  ]);
  expect(ours).toEqual(theirs);
  return ours;
}

describe.skipIf(psql === null)('psql shows the same as on one Postgres', () => {
  test.each([
    ['\\d'],
    ['\\dt'],
    ['\\d customers'],
    ['\\d+ customers'],
    ['\\d countries'],
    ['\\d nothing'],
    ['\\di'],
    ['\\dv'],
    ['\\d german'],
    ['\\dn public'],
    ['\\dT'],
    ['\\df lower'],
    ['\\dp customers'],
    ['\\sv german'],
    ['\\dx'],
    ['\\encoding'],
    ['SELECT id, name FROM customers WHERE id = 2 \\gdesc'],
    ['SELECT name FROM customers WHERE id = 3 \\gx'],
    ['SELECT 2 AS two \\gset\n\\echo :two'],
    ['SELECT name FROM customers WHERE id = $1 \\bind 3 \\g'],
    ['\\timing on\nSELECT name FROM customers WHERE id = 1'],
    ['\\set ON_ERROR_STOP on\nSELECT 1/0;\nSELECT 2'],
    [
      '\\set AUTOCOMMIT off\nINSERT INTO settings VALUES (1, 2);\nROLLBACK;\nSELECT * FROM settings',
    ],
    ['\\set FETCH_COUNT 2\nSELECT * FROM settings, generate_series(1, 7) g ORDER BY g'],
    [
      '\\set ON_ERROR_ROLLBACK on\nBEGIN;\nSELECT 1/0;\nSELECT name FROM customers WHERE id = 1;\nCOMMIT;',
    ],
    ['SELECT 1 \\; SELECT 2;'],
    ['\\conninfo_missing'],
  ])('%s', async (input) => {
    await expectEqualOutput([], `${input}\n`);
  });

  test('\\l lists the database', async () => {
    const theirs = await run(scene.databases.urls.oracle, ['-c', '\\l']);
    const ours = await run(scene.proxy.url, ['-c', '\\l']);
    expect(ours.code).toBe(theirs.code);
    // A psql older than the servers may ask for a column that is gone: then both say so.
    if (theirs.code !== 0) expect(ours).toEqual(theirs);
    else expect(ours.output).toMatch(/psql\s+\| postgres/);
  });

  test('\\copy carries rows in and out of one and several shards', async () => {
    const file = join(folder, 'rows.csv');
    const rows = Array.from({ length: 500 }, (_, i) => `${1000 + i},"name, ${i}",de\n`);
    writeFileSync(file, rows.join(''));
    await expectEqualOutput(['-c', `\\copy customers FROM '${file}' WITH (FORMAT csv)`]);
    await expectEqualOutput(['-c', `\\copy settings FROM STDIN`], 'a\tb\nc\td\n\\.\n');
    const out = join(folder, 'out.txt');
    const { code } = await run(scene.proxy.url, ['-c', `\\copy customers (id, name) TO '${out}'`]);
    expect(code).toBe(0);
    expect(readFileSync(out, 'utf8').trim().split('\n')).toHaveLength(503);
    await expectEqualOutput(['-c', `\\copy (SELECT * FROM settings ORDER BY key) TO STDOUT`]);
  });

  test('a script of several statements in one go, in one transaction, and with an error', async () => {
    const file = join(folder, 'script.sql');
    writeFileSync(
      file,
      `CREATE TABLE scripted (id int);
       SELECT count(*) FROM customers WHERE id = 1;
       INSERT INTO settings VALUES ('script', '1');
       UPDATE settings SET value = '2' WHERE key = 'script' RETURNING *;
       SELECT nothing;
       DROP TABLE scripted;
       DELETE FROM settings WHERE key = 'script';`,
    );
    await expectEqualOutput(['-f', file]);
    await expectEqualOutput(['-c', 'SELECT 1; SELECT name FROM customers WHERE id = 2; SELECT 3']);
    await expectEqualOutput([
      '-1',
      '-c',
      "INSERT INTO settings VALUES ('one', 'x')",
      '-c',
      'SELECT 1/0',
    ]);
    await expectEqualOutput(['-c', 'SELECT * FROM settings ORDER BY key']);
  });

  test('tab completion finds tables and columns', async () => {
    // The queries that psql 15 and later send for `SELECT * FROM cu<TAB>` and `SELECT na<TAB>`.
    await expectEqualOutput(
      [],
      `SELECT c.relname, NULL::pg_catalog.text FROM pg_catalog.pg_class c
         WHERE c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p') AND (c.relname) LIKE 'cu%'
           AND pg_catalog.pg_table_is_visible(c.oid)
         UNION ALL
         SELECT NULL::pg_catalog.text, n.nspname FROM pg_catalog.pg_namespace n
         WHERE n.nspname LIKE 'cu%' AND n.nspname NOT LIKE E'pg\\\\_%'
         LIMIT 1000;
       SELECT attname FROM pg_catalog.pg_attribute a, pg_catalog.pg_class c
         WHERE c.oid = a.attrelid AND a.attnum > 0 AND NOT a.attisdropped AND (attname) LIKE 'na%'
           AND (c.relname) = 'customers' AND pg_catalog.pg_table_is_visible(c.oid)
         LIMIT 1000;
       SELECT name FROM pg_catalog.pg_settings WHERE name LIKE 'work_m%' LIMIT 1000;\n`,
    );
  });
});
