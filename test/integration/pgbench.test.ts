import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectPg, misplacedRows, openScene, rowsPerShard, type Scene } from '../support/scene.js';
import { findTool } from '../support/tools.js';

const pgbench = findTool('pgbench');
let scene: Scene;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shardgate-pgbench-'));
  const by = (key: string): object => ({ shard_key: key, vindex: 'by_key' });
  scene = await openScene('pgbench', {
    shop: {
      pgbench_accounts: by('aid'),
      pgbench_tellers: by('tid'),
      pgbench_branches: by('bid'),
      pgbench_history: by('aid'),
    },
  });
});
afterAll(async () => {
  await scene.close();
  rmSync(folder, { recursive: true, force: true });
});

function run(...args: readonly string[]): Promise<{ code: number; output: string }> {
  const url = new URL(scene.proxy.url);
  const target = ['-h', '127.0.0.1', '-p', url.port, '-U', 'postgres', 'pgbench'];
  return new Promise((resolve) => {
    execFile(pgbench!, [...args, ...target], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}

describe.skipIf(pgbench === null)('pgbench', () => {
  test('initialises: every row once, where it belongs', async () => {
    const { code, output } = await run('-i', '-s', '1', '--quiet');
    expect(output).not.toMatch(/error|fatal/i);
    expect(code).toBe(0);
    const counts = await rowsPerShard(scene.databases, 'pgbench_accounts');
    expect(Object.values(counts).reduce((sum, n) => sum + n, 0)).toBe(100_000);
    expect(counts['main']).toBe(0);
    for (const [table, key] of [
      ['pgbench_accounts', 'aid'],
      ['pgbench_tellers', 'tid'],
      ['pgbench_branches', 'bid'],
    ] as const) {
      expect(await misplacedRows(scene.databases, table, key, 'hashint4extended')).toEqual([]);
    }
  });

  const modes = ['simple', 'extended', 'prepared'] as const;
  test.each(modes)('-S in mode %s, with 1 and 8 clients', async (mode) => {
    for (const clients of ['1', '8']) {
      const { code, output } = await run(
        '-S',
        '-n',
        '-M',
        mode,
        '-c',
        clients,
        '-j',
        '1',
        '-t',
        '100',
      );
      expect(output).not.toMatch(/error|aborted/i);
      expect(code).toBe(0);
      expect(output).toContain(`${Number(clients) * 100}/${Number(clients) * 100}`);
    }
  });

  test.each(modes)('-N in mode %s with 4 clients loses nothing', async (mode) => {
    const client = await connectPg(scene.proxy.url);
    const history = async (): Promise<number> =>
      Number((await client.query('SELECT count(*) FROM pgbench_history')).rows[0].count);
    const before = await history();
    const { code, output } = await run('-N', '-n', '-M', mode, '-c', '4', '-j', '1', '-t', '50');
    expect(output).not.toMatch(/error|aborted/i);
    expect(code).toBe(0);
    expect(await history()).toBe(before + 200);
    await client.end();
  });

  test('reloads while transactions over several shards run fail none of them', async () => {
    const { configFile } = scene.proxy;
    const text = readFileSync(configFile, 'utf8');
    const applied = (): number => scene.proxy.logs().split('configuration applied').length - 1;
    let over = false;
    const bench = run('-N', '-n', '-M', 'prepared', '-c', '4', '-j', '1', '-T', '4').finally(() => {
      over = true;
    });
    // Other pools, then other tables and limits: both while statements are prepared and backends are lent.
    for (let reloads = 0; !over || reloads < 2; reloads++) {
      const size = 5 + (reloads % 2);
      const before = applied();
      const other = `"tables": { "of_reload_${size}": {} }, "shards": [\n          {\n            "name": "main"`;
      writeFileSync(
        configFile,
        text
          .replace(/"size": \d+/, `"size": ${size}`)
          .replace(/"shards": \[\s*\{\s*"name": "main"/, other),
      );
      scene.proxy.signal('SIGHUP');
      await expect.poll(applied, { timeout: 20_000 }).toBeGreaterThan(before);
    }
    const { code, output } = await bench;
    expect(output).toContain('number of failed transactions: 0 ');
    expect(output).not.toMatch(/error|aborted/i);
    expect(code).toBe(0);
    const logs = scene.proxy.logs();
    expect(logs).toContain('"pool.size: 5 -> 6"');
    expect(logs).toContain('keyspaces.main.tables.of_reload_6: added');
    expect(logs).not.toContain('cannot be used');
    writeFileSync(configFile, text);
  });

  test('a TPC-B script whose rows are all of one key', async () => {
    const file = join(folder, 'by-key.sql');
    writeFileSync(
      file,
      `\\set key 1
       \\set delta random(-5000, 5000)
       BEGIN;
       UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :key;
       SELECT abalance FROM pgbench_accounts WHERE aid = :key;
       UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :key;
       UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :key;
       INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:key, :key, :key, :delta, CURRENT_TIMESTAMP);
       END;\n`,
    );
    for (const mode of modes) {
      const { code, output } = await run(
        '-n',
        '-f',
        file,
        '-M',
        mode,
        '-c',
        '2',
        '-j',
        '1',
        '-t',
        '50',
      );
      expect(output).not.toMatch(/error|aborted/i);
      expect(code).toBe(0);
    }
    const client = await connectPg(scene.proxy.url);
    const one = async (sql: string): Promise<unknown> =>
      Object.values((await client.query(sql)).rows[0] as object)[0];
    expect(await one('SELECT tbalance FROM pgbench_tellers WHERE tid = 1')).toBe(
      await one('SELECT bbalance FROM pgbench_branches WHERE bid = 1'),
    );
    await client.end();
  });

  /** Of accounts, tellers, branches, and of what history says. */
  async function sums(): Promise<number[]> {
    const client = await connectPg(scene.proxy.url);
    const found: number[] = [];
    for (const [table, column] of [
      ['accounts', 'abalance'],
      ['tellers', 'tbalance'],
      ['branches', 'bbalance'],
      ['history', 'delta'],
    ]) {
      const sql = `SELECT COALESCE(sum(${column}), 0)::int AS sum FROM pgbench_${table}`;
      found.push((await client.query<{ sum: number }>(sql)).rows[0]!.sum);
    }
    await client.end();
    return found;
  }

  test.each(modes)(
    'the standard script in mode %s, whose transactions span shards',
    async (mode) => {
      const before = await sums();
      const { code, output } = await run('-n', '-M', mode, '-c', '4', '-j', '1', '-t', '40');
      expect(output).not.toMatch(/error|aborted/i);
      expect(code).toBe(0);
      expect(output).toContain('160/160');
      const grown = (await sums()).map((sum, at) => sum - before[at]!);
      expect(new Set(grown).size).toBe(1);
    },
  );
});
