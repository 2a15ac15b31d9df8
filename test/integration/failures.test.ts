import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../scripts/lib/project.mjs';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { runStatement } from '../support/oracle.js';
import { clusterConfig, type ProxyConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { startRelay, type Relay } from '../support/relay.js';
import { metric } from '../support/chaos-watch.js';
import { connectPg } from '../support/scene.js';
import { WireClient } from '../support/wire-client.js';
import { errorFields } from '../support/wire-messages.js';
import { typesOf } from '../support/wire-pair.js';

const DATABASE = 'failures';
let databases: DatabaseSet;
let relay: Relay;
let config: ProxyConfig;
/** One id on the shard that fails (s1), one elsewhere. */
let onFailing: number;
let elsewhere: number;

beforeAll(async () => {
  databases = await createDatabaseSet(DATABASE);
  relay = await startRelay(databases.urls.s1);
  const through = { ...databases, urls: { ...databases.urls, s1: relay.url } };
  const tables = { main: { settings: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } };
  config = clusterConfig(through, tables, {
    pool: { size: 2, queue_timeout: '1s' },
    drain_timeout: '3s',
  });
  const proxy = await startProxy({ config });
  const client = await connectPg(proxy.url);
  await client.query('CREATE TABLE items (id int8 PRIMARY KEY, name text)');
  await client.query('CREATE TABLE settings (key text PRIMARY KEY)');
  const rows = Array.from({ length: 40 }, (_, i) => `(${i + 1}, 'item')`);
  await client.query(`INSERT INTO items VALUES ${rows.join(', ')}`);
  await client.end();
  await proxy.stop();
  onFailing = (await databases.query('s1', 'SELECT min(id)::int FROM items'))[0]![0] as number;
  elsewhere = (await databases.query('s2', 'SELECT min(id)::int FROM items'))[0]![0] as number;
});
afterAll(async () => {
  await relay.close();
  await databases.drop();
});

const byKey = (id: number): string => `SELECT name FROM items WHERE id = ${id}`;

async function code(client: pg.Client, sql: string): Promise<string | undefined> {
  return (await runStatement(client, sql)).error?.code;
}

describe('a shard that fails', () => {
  let proxy: Proxy;
  beforeAll(async () => {
    proxy = await startProxy({ config });
  });
  afterAll(async () => {
    relay.setOpen(true);
    await proxy.stop();
  });

  test('between statements: its clients get an error that names it, others notice nothing, it comes back', async () => {
    const client = await connectPg(proxy.url);
    expect(await code(client, byKey(onFailing))).toBeUndefined();
    relay.setOpen(false);
    await sleep(50);
    const { error } = await runStatement(client, byKey(onFailing));
    expect(error?.code).toMatch(/^08/);
    expect(error?.message).toContain('s1');
    for (let i = 0; i < 5; i++) expect(await code(client, byKey(elsewhere))).toBeUndefined();
    expect(await code(client, 'SELECT * FROM items')).toMatch(/^08/);
    const ready = await fetch(`http://127.0.0.1:${proxy.httpPort}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.text()).toContain('s1');
    relay.setOpen(true);
    await expect.poll(() => code(client, byKey(onFailing)), { timeout: 4000 }).toBeUndefined();
    await expect
      .poll(async () => (await fetch(`http://127.0.0.1:${proxy.httpPort}/readyz`)).status, {
        timeout: 4000,
      })
      .toBe(200);
    await client.end();
  });

  test('is no concern of what others can answer: texts that any shard judges, statements without tables', async () => {
    const client = await WireClient.login({ port: proxy.port, database: DATABASE });
    /** The shard has just been used, and its connections break off. */
    const fail = async (): Promise<void> => {
      await expect
        .poll(
          async () => {
            client.query(byKey(onFailing));
            return typesOf(await client.until('Z'));
          },
          { timeout: 10_000 },
        )
        .toBe('TDCZ');
      relay.setOpen(false);
      const idle = 'shardgate_pool_idle\\{shard="s1"[^}]*\\}';
      await expect.poll(() => metric(proxy, idle), { timeout: 10_000 }).toBe(0);
    };
    await fail();
    // By turns each shard is asked.
    for (let n = 0; n < 6; n++) {
      client.parse(`SELECT name, ${n} FROM items WHERE id = $1`, `s${n}`);
      client.sync();
      expect(typesOf(await client.until('Z'))).toBe('1Z');
    }
    relay.setOpen(true);
    await fail();
    for (let n = 0; n < 6; n++) {
      client.query(`SELECT ${n}`);
      expect(typesOf(await client.until('Z'))).toBe('TDCZ');
    }
    client.terminate();
    relay.setOpen(true);
  });

  test('while it answers: one error, the session lives', async () => {
    const client = await connectPg(proxy.url);
    const slow = runStatement(client, `SELECT pg_sleep(10) FROM items WHERE id = ${onFailing}`);
    await sleep(100);
    relay.setOpen(false);
    expect((await slow).error?.code).toMatch(/^08/);
    relay.setOpen(true);
    await expect.poll(() => code(client, byKey(onFailing)), { timeout: 4000 }).toBeUndefined();
    await client.end();
  });

  test('in the middle of its rows: an error, or a closed connection, never a short result', async () => {
    const client = await connectPg(proxy.url);
    const big = `SELECT repeat('x', 1000) FROM items, generate_series(1, 3000000) WHERE id = ${onFailing}`;
    const wire = await WireClient.login({ port: proxy.port, database: DATABASE });
    wire.query(big);
    await wire.until('D');
    relay.setOpen(false);
    const types: string[] = [];
    try {
      for (;;) {
        const { type } = await wire.next();
        types.push(type);
        if (type === 'Z') break;
      }
    } catch {
      types.push('closed');
    }
    expect(types).not.toContain('C');
    wire.destroy();
    relay.setOpen(true);
    await expect.poll(() => code(client, byKey(onFailing)), { timeout: 4000 }).toBeUndefined();
    await client.end();
  });

  test('inside a transaction: the transaction has failed, ROLLBACK ends it', async () => {
    const client = await connectPg(proxy.url);
    await client.query('BEGIN');
    await client.query(`UPDATE items SET name = 'lost' WHERE id = ${onFailing}`);
    relay.setOpen(false);
    await sleep(50);
    expect(await code(client, byKey(onFailing))).toMatch(/^08|25P02/);
    expect(await code(client, 'SELECT 1')).toBe('25P02');
    expect(await code(client, 'ROLLBACK')).toBeUndefined();
    expect(await code(client, 'SELECT 1')).toBeUndefined();
    relay.setOpen(true);
    await expect.poll(() => code(client, byKey(onFailing)), { timeout: 4000 }).toBeUndefined();
    const { rows } = await client.query(byKey(onFailing));
    expect(rows).toEqual([{ name: 'item' }]);
    await client.end();
  });

  test('while the statement waits for another shard: one error', async () => {
    const holders = await Promise.all([connectPg(proxy.url), connectPg(proxy.url)]);
    for (const holder of holders) await holder.query(`BEGIN; ${byKey(elsewhere)}`);
    const client = await WireClient.login({ port: proxy.port, database: DATABASE });
    client.query('BEGIN');
    await client.until('Z');
    relay.cutAt('BEGIN', 'after', true);
    client.query('UPDATE items SET name = name');
    const answer = await client.until('Z');
    expect(answer.map(({ type }) => type).join('')).toBe('EZ');
    expect(errorFields(answer[0]!)['C']).toBe('08006');
    relay.setOpen(true);
    client.query('ROLLBACK');
    expect((await client.until('Z')).map(({ type }) => type).join('')).toBe('CZ');
    client.socket.destroy();
    for (const holder of holders) await holder.query('COMMIT');
    await expect.poll(() => code(holders[0], byKey(onFailing)), { timeout: 4000 }).toBeUndefined();
    await Promise.all(holders.map((holder) => holder.end()));
  });

  test('whose backend is terminated: the error of the server, and the next statement works', async () => {
    const client = await connectPg(proxy.url);
    const slow = runStatement(client, `SELECT pg_sleep(10) FROM items WHERE id = ${elsewhere}`);
    await sleep(150);
    await databases.query(
      's2',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(10)%' AND pid <> pg_backend_pid()`,
    );
    expect((await slow).error?.code).toMatch(/^(57P01|08)/);
    expect(await code(client, byKey(elsewhere))).toBeUndefined();
    await client.end();
  });
});

test('a shard that is down at the start delays nobody else', async () => {
  relay.setOpen(false);
  const proxy = await startProxy({ config, waitUntilReady: false });
  const connected = async (): Promise<pg.Client | null> => connectPg(proxy.url).catch(() => null);
  let client: pg.Client | null = null;
  await expect
    .poll(async () => (client ??= await connected()) !== null, { timeout: 8000 })
    .toBe(true);
  expect(await code(client!, byKey(elsewhere))).toBeUndefined();
  expect(await code(client!, byKey(onFailing))).toMatch(/^08/);
  relay.setOpen(true);
  await expect.poll(() => code(client!, byKey(onFailing)), { timeout: 4000 }).toBeUndefined();
  await client!.end();
  expect(await proxy.stop()).toBe(0);
});

describe('stopping', () => {
  test('SIGTERM closes idle clients, lets a transaction end, and exits with 0', async () => {
    const proxy = await startProxy({ config });
    const [idle, busy] = await Promise.all([connectPg(proxy.url), connectPg(proxy.url)]);
    const idleEnded = new Promise((resolve) => idle.once('end', resolve));
    await busy.query('BEGIN');
    await busy.query(`UPDATE items SET name = 'drained' WHERE id = ${elsewhere}`);
    const stopped = proxy.stop();
    await idleEnded;
    expect(await connectPg(proxy.url).catch(() => null)).toBeNull();
    await busy.query('COMMIT');
    expect(await stopped).toBe(0);
    expect(await databases.query('s2', byKey(elsewhere))).toEqual([['drained']]);
  });

  test('a transaction that does not end is cut off when the drain time is over', async () => {
    const proxy = await startProxy({ config: { ...config, drain_timeout: '500ms' } });
    const client = await connectPg(proxy.url);
    await client.query('BEGIN');
    await client.query(`UPDATE items SET name = 'late' WHERE id = ${elsewhere}`);
    const started = performance.now();
    expect(await proxy.stop()).toBe(0);
    expect(performance.now() - started).toBeLessThan(3000);
    expect(await databases.query('s2', byKey(elsewhere))).toEqual([['drained']]);
    await client.end().catch(() => undefined);
  });

  test('a second signal stops at once, with exit code 1', async () => {
    const proxy = await startProxy({ config });
    const client = await connectPg(proxy.url);
    await client.query('BEGIN');
    await client.query(byKey(elsewhere));
    const stopped = proxy.stop();
    await sleep(100);
    proxy.signal('SIGTERM');
    expect(await stopped).toBe(1);
    await client.end().catch(() => undefined);
  });
});

describe('the configuration of a running proxy', () => {
  test('changes by file and by SIGHUP without dropping a connection; a bad file changes nothing', async () => {
    const proxy = await startProxy({ config });
    const client = await connectPg(proxy.url);
    await client.query('BEGIN');
    await client.query(byKey(elsewhere));
    const text = readFileSync(proxy.configFile, 'utf8');
    const applied = (): number => proxy.logs().split('configuration applied').length - 1;

    writeFileSync(proxy.configFile, text.replace('"queue_timeout": "1s"', '"queue_timeout": "2s"'));
    await expect.poll(applied, { timeout: 5000 }).toBe(1);
    expect(await code(client, byKey(elsewhere))).toBeUndefined();
    await client.query('COMMIT');

    writeFileSync(proxy.configFile, text.replace('"hash"', '"hush"'));
    proxy.signal('SIGHUP');
    await expect.poll(() => proxy.logs(), { timeout: 5000 }).toContain('the old one stays');
    expect(await code(client, byKey(onFailing))).toBeUndefined();

    writeFileSync(proxy.configFile, text);
    proxy.signal('SIGHUP');
    await expect.poll(applied, { timeout: 5000 }).toBeGreaterThanOrEqual(2);
    expect(await code(client, 'SELECT * FROM items')).toBeUndefined();
    await client.end();
    expect(await proxy.stop()).toBe(0);
  });
});

describe('the command line', () => {
  const run = (...args: readonly string[]): { status: number | null; output: string } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['dist/main.js', ...args], {
      cwd: projectRoot,
      encoding: 'utf8',
    });
    return { status, output: stdout + stderr };
  };

  test('knows --help and --version, and says how it is used', () => {
    expect(run('--help')).toMatchObject({ status: 0, output: expect.stringContaining('Usage:') });
    expect(run('--version')).toMatchObject({
      status: 0,
      output: expect.stringMatching(/\d+\.\d+\.\d+/),
    });
    expect(run().status).toBe(2);
    expect(run('--nonsense').status).toBe(2);
  });

  test('checks a file, and does not start with a bad one', () => {
    const folder = mkdtempSync(join(tmpdir(), 'shardgate-check-'));
    const good = join(folder, 'good.yaml');
    const bad = join(folder, 'bad.yaml');
    writeFileSync(good, JSON.stringify(config, null, 2));
    writeFileSync(bad, JSON.stringify(config, null, 2).replace('"hash"', '"hush"'));
    expect(run('check', good)).toMatchObject({ status: 0 });
    for (const args of [
      ['check', bad],
      ['--config', bad],
    ]) {
      const { status, output } = run(...args);
      expect(status).not.toBe(0);
      expect(output).toMatch(/bad\.yaml:\d+/);
      expect(output).toContain('hush');
    }
    expect(run('--config', join(folder, 'missing.yaml')).status).toBe(78);
    rmSync(folder, { recursive: true, force: true });
  });
});
