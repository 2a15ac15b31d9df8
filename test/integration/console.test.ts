/* The console: who gets in, both protocols, lists and commands. */
import { execFileSync } from 'node:child_process';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

let scene: Scene;
let url: string;

beforeAll(async () => {
  scene = await openScene('console', { shop: { orders: { shard_key: 'id' } } }, [
    'CREATE TABLE orders (id int PRIMARY KEY, note text)',
  ]);
  url = consoleOf(scene.proxy.url);
});

afterAll(async () => {
  await scene.close();
});

function consoleOf(proxyUrl: string): string {
  const address = new URL(proxyUrl);
  address.pathname = '/shardgate';
  return address.href;
}

async function withConsole<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connectPg(url);
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function show(sql: string, values?: unknown[]): Promise<pg.QueryResult<Record<string, unknown>>> {
  return withConsole((client) => client.query(sql, values));
}

function psql(...commands: string[]): string {
  const options = commands.flatMap((command) => ['-c', command]);
  return execFileSync('psql', ['-XAtq', ...options, url], { encoding: 'utf8', stdio: 'pipe' });
}

describe('SET', () => {
  const valueOf = async (key: string): Promise<unknown> =>
    (await show(`SHOW CONFIG WHERE key = '${key}'`)).rows[0]!['value'];

  test('changes settings at once, until RELOAD', async () => {
    await show('SET limits.prepared_statements = 3');
    await show("SET pool.queue_timeout TO '2s'");
    await show("set drain_timeout = '12s'");
    expect(await valueOf('limits.prepared_statements')).toBe('3');
    expect(await valueOf('pool.queue_timeout')).toBe('2s');
    expect(await valueOf('drain_timeout')).toBe('12s');
    const client = await connectPg(scene.proxy.url);
    const prepare = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await client.query(`PREPARE s${i} AS SELECT ${i}`);
    };
    await expect(prepare(5)).rejects.toMatchObject({ code: '54000' });
    await client.query('DEALLOCATE ALL');
    await show('RELOAD');
    expect(await valueOf('limits.prepared_statements')).toBe('5000');
    await prepare(5);
    await client.end();
  });

  test.each([
    ['SET limits.nothing = 1', '42704'],
    ['SET pool.size = many', '22023'],
    ["SET limits.gather_memory = '-1'", '22023'],
    ['SET pool.size', '42601'],
    ['SET auth.method = trust', '0A000'],
    ['SET workers = 4', '0A000'],
  ])('%s is refused', async (sql, code) => {
    await expect(show(sql)).rejects.toMatchObject({ code });
  });

  test('what drivers set for themselves is taken and ignored', async () => {
    expect((await show("SET client_encoding = 'UTF8'")).command).toBe('SET');
  });
});

describe('both protocols', () => {
  test('psql runs commands, several in one text too', () => {
    expect(psql('SHOW VERSION')).toMatch(/^Shardgate \d/);
    expect(psql("SHOW VERSION; SHOW POOLS WHERE database = 's1'")).toMatch(
      /^Shardgate [\d.]+\ns1\|postgres\|/,
    );
  });

  test('what psql asks the catalog for is refused, and the session goes on', async () => {
    await withConsole(async (client) => {
      await expect(client.query('SELECT * FROM pg_catalog.pg_class')).rejects.toMatchObject({
        code: '0A000',
      });
      expect((await client.query('SHOW VERSION')).command).toBe('SHOW');
    });
  });

  test('prepared, with parameters, and run again', async () => {
    await withConsole(async (client) => {
      const query = { name: 'one', text: 'SHOW POOLS WHERE database = $1 LIMIT $2' };
      for (const shard of ['s0', 's3']) {
        const { rows } = await client.query(query.text, [shard, 5]);
        expect(rows).toMatchObject([{ database: shard, keyspace: 'shop' }]);
        const again = await client.query<{ database: string }>({ ...query, values: [shard, '5'] });
        expect(again.rows.map(({ database }) => database)).toEqual([shard]);
      }
    });
  });

  test('an error in a pipeline skips to Sync only', async () => {
    await withConsole(async (client) => {
      await expect(client.query('SHOW NOTHING', [])).rejects.toMatchObject({ code: '0A000' });
      await expect(client.query('SHOW POOLS WHERE maxwait = $1', ['x'])).rejects.toMatchObject({
        code: '22P02',
      });
      expect((await client.query('SHOW POOLS')).rowCount).toBe(null);
    });
  });

  test('an empty text is answered as such', async () => {
    expect((await show(' ; ')).rows).toEqual([]);
  });
});

describe('lists', () => {
  test('HELP has every command once', async () => {
    const { rows } = await show('SHOW HELP ORDER BY command');
    const names = rows.map(({ command }) => command);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('KILL client id');
  });

  test('CLIENTS shows who is there, and what they hold', async () => {
    const client = await connectPg(scene.proxy.url, { application_name: 'holder' });
    await client.query('BEGIN');
    await client.query('SELECT * FROM orders WHERE id = 1');
    const { rows } = await show("SHOW CLIENTS WHERE user = $1 AND application_name = 'holder'", [
      'postgres',
    ]);
    expect(rows).toMatchObject([
      { type: 'C', user: 'postgres', state: 'active', addr: '127.0.0.1', wait: 0 },
    ]);
    expect(rows[0]!['link']).toMatch(/^s\d-\d+$/);
    await client.query('COMMIT');
    await client.end();
  });
});

describe('commands', () => {
  test('KILL ends the session of a client', async () => {
    const victim = await connectPg(scene.proxy.url, { application_name: 'victim' });
    const ended = new Promise((resolve) => victim.once('error', resolve));
    const { rows } = await show("SHOW CLIENTS WHERE application_name = 'victim'");
    await show(`KILL ${String(rows[0]!['id'])}`);
    expect(await ended).toMatchObject({ code: '57P01' });
    await expect(show('KILL 999999')).rejects.toMatchObject({ code: '42704' });
    await expect(show('KILL')).rejects.toMatchObject({ code: '42601' });
  });

  test('what a shard has against a command is told, and the console goes on', async () => {
    const other = 'CREATE SCHEMA IF NOT EXISTS shardgate; CREATE TABLE shardgate.ddl_jobs (a int)';
    await scene.databases.query('main', 'DROP TABLE IF EXISTS shardgate.ddl_jobs');
    await scene.databases.onEach(['main'], other);
    await withConsole(async (client) => {
      await expect(client.query('SHOW DDL')).rejects.toMatchObject({
        severity: 'ERROR',
        message: expect.stringContaining('shard "main"') as string,
      });
      expect((await client.query('SHOW VERSION')).rows).toHaveLength(1);
    });
    await scene.databases.query('main', 'DROP TABLE shardgate.ddl_jobs');
  });
});

describe('what statements cost', () => {
  test('SHOW QUERIES counts calls, rows and shards of each shape, in every protocol', async () => {
    const client = await connectPg(scene.proxy.url);
    try {
      await client.query(
        "INSERT INTO orders VALUES (900, 'a'), (901, 'a'), (902, 'b'), (903, 'b')",
      );
      for (const id of [900, 901, 902]) {
        await client.query(`/* by id */ SELECT note FROM orders WHERE id = ${id}`);
        await client.query('SELECT id, note FROM orders WHERE id = $1', [id]);
        await client.query({
          name: 'p',
          text: 'SELECT id FROM orders WHERE id = $1',
          values: [id],
        });
      }
      await client.query('SELECT id FROM orders WHERE id >= 900');
      await client.query('UPDATE orders SET note = note WHERE id > 900');
    } finally {
      await client.end();
    }
    const together = await Promise.all([0, 1, 2].map(() => connectPg(scene.proxy.url)));
    await Promise.all(together.map((each) => each.query('SELECT 1 FROM orders WHERE id = 901')));
    await Promise.all(together.map((each) => each.end()));
    const { rows } = await show("SHOW QUERIES WHERE query LIKE '%orders%' ORDER BY query");
    const seen = new Map(rows.map((row) => [row['query'], row]));
    const one = { calls: '3', rows: '3', route: 'one_shard', shards: 1 };
    expect(seen.get('SELECT note FROM orders WHERE id = ?')).toMatchObject(one);
    expect(seen.get('SELECT id, note FROM orders WHERE id = $1')).toMatchObject(one);
    expect(seen.get('SELECT id FROM orders WHERE id = $1')).toMatchObject(one);
    // Reads that travel together may run twice.
    const shared = seen.get('SELECT ? FROM orders WHERE id = ?')!;
    expect(Number(shared['calls'])).toBeGreaterThanOrEqual(3);
    expect(Number(shared['rows'])).toBeGreaterThanOrEqual(1);
    expect(seen.get('SELECT id FROM orders WHERE id >= ?')).toMatchObject({
      calls: '1',
      rows: '4',
      route: 'scatter',
      shards: 4,
    });
    expect(seen.get('UPDATE orders SET note = note WHERE id > ?')).toMatchObject({ rows: '3' });
    for (const row of rows) {
      expect(row['total_ms']).toBeGreaterThan(0);
      expect(row['max_ms']).toBeLessThanOrEqual(row['total_ms'] as number);
    }
    const routes = await show("SHOW ROUTES WHERE route = 'scatter'");
    expect(Number(routes.rows[0]!['statements'])).toBeGreaterThanOrEqual(1);
  });

  test('SHOW HOTKEYS names the key that most statements are about, in every protocol', async () => {
    const client = await connectPg(scene.proxy.url);
    const hottest = async (): Promise<Record<string, unknown> | undefined> =>
      (await show('SHOW HOTKEYS LIMIT 1')).rows[0];
    try {
      let found = await hottest();
      const isFound = (): boolean => found?.['key'] === '4711' && Number(found['percent_min']) > 50;
      // Which statements are looked at is chance.
      for (let round = 0; round < 100 && !isFound(); round++) {
        for (let i = 0; i < 100; i++) {
          await client.query('SELECT note FROM orders WHERE id = 4711');
          await client.query('SELECT note FROM orders WHERE id = $1', [4711]);
          if (i % 10 === 0) await client.query('SELECT note FROM orders WHERE id = $1', [i]);
        }
        found = await hottest();
      }
      const where = await show('SHOW SHARD FOR orders 4711');
      expect(found).toMatchObject({
        keyspace: 'shop',
        table: 'orders',
        key: '4711',
        shards: where.rows[0]!['shard'],
      });
      expect(Number(found!['statements'])).toBeGreaterThan(100);
      expect(found!['percent']).toBeGreaterThanOrEqual(found!['percent_min'] as number);
    } finally {
      await client.end();
    }
  });
});
