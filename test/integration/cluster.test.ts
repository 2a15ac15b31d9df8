import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { Comparison } from '../support/oracle.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy } from '../support/proxy.js';
import { serverNames, shardNames } from '../support/servers.js';
import { WireClient } from '../support/wire-client.js';
import { errorFields, int32, rowFields, rowTexts } from '../support/wire-messages.js';

let databases: DatabaseSet;

beforeAll(async () => {
  databases = await createDatabaseSet('cluster_test');
});
afterAll(async () => {
  await databases.drop();
});

describe('the servers of a test run', () => {
  test('are six different PostgreSQL 18 servers', async () => {
    expect(existsSync(join(inject('pgBin'), 'postgres'))).toBe(true);
    const ports = new Set<unknown>();
    for (const name of serverNames) {
      const rows = await databases.query(
        name,
        `SELECT current_setting('server_version_num')::int / 10000, current_setting('port')`,
      );
      expect(rows[0]![0]).toBe(18);
      ports.add(rows[0]![1]);
    }
    expect(ports.size).toBe(serverNames.length);
  });

  test.each(serverNames)('%s has the settings that Shardgate relies on', async (name) => {
    const rows = await databases.query(
      name,
      `SELECT current_setting('max_prepared_transactions'), current_setting('wal_level'),
              current_setting('server_encoding'), datlocprovider::text, datlocale
         FROM pg_database WHERE datname = current_database()`,
    );
    expect(rows).toEqual([['100', 'logical', 'UTF8', 'b', 'C.UTF-8']]);
  });

  test('compare text by code point and know letters beyond ASCII', async () => {
    const rows = await databases.query(
      'oracle',
      `SELECT 'Z' < 'a', 'z' < 'ä', upper('ä'), 'É' ~ '[[:alpha:]]'`,
    );
    expect(rows).toEqual([[true, true, 'Ä', true]]);
  });
});

describe('a database set', () => {
  test('keeps the servers apart', async () => {
    await databases.onEach(shardNames, 'CREATE TABLE here (name text)');
    for (const name of shardNames) {
      await databases.query(name, 'INSERT INTO here VALUES ($1)', [name]);
    }
    for (const name of shardNames) {
      expect(await databases.query(name, 'SELECT name FROM here')).toEqual([[name]]);
    }
    await expect(databases.query('oracle', 'SELECT name FROM here')).rejects.toThrow(
      'relation "here" does not exist',
    );
  });

  test('starts empty when it is made a second time', async () => {
    const first = await createDatabaseSet('cluster_test_again');
    await first.query('s0', 'CREATE TABLE leftover ()');
    const second = await createDatabaseSet('cluster_test_again');
    expect(await second.query('s0', `SELECT to_regclass('leftover')::text`)).toEqual([[null]]);
    await second.drop();
  });

  test('takes no name that would need quotes', async () => {
    await expect(createDatabaseSet('Robert"; --')).rejects.toThrow('not a plain database name');
  });
});

describe('the comparison with a plain PostgreSQL', () => {
  let comparison: Comparison;
  beforeAll(async () => {
    for (const name of ['oracle', 's0'] as const) {
      await databases.query(name, 'CREATE TABLE twin (id int, v text)');
      await databases.query(name, `INSERT INTO twin VALUES (1, 'a'), (2, NULL)`);
    }
    comparison = await Comparison.open(databases.urls.s0, databases.urls.oracle);
  });
  afterAll(async () => {
    await comparison.close();
  });

  test('passes where two servers agree, errors and parameters included', async () => {
    await comparison.expectSame('SELECT * FROM twin ORDER BY id');
    await comparison.expectSame('SELECT v FROM twin WHERE id = $1', [1]);
    await comparison.expectSame('SELECT 1; UPDATE twin SET v = v; SELECT 2');
    const { error } = await comparison.expectSame('SELECT missing FROM twin');
    expect(error?.code).toBe('42703');
  });

  test('fails where they differ in a value, in the number of rows or in an error', async () => {
    const port = `current_setting('port')`;
    const differing = [
      `SELECT ${port}`,
      `SELECT 1 FROM generate_series(1, ${port}::int % 1000)`,
      `SELECT ${port}::date`,
    ];
    for (const sql of differing) await expect(comparison.expectSame(sql), sql).rejects.toThrow(sql);
  });

  test('minds the order of rows only where the statement names one', async () => {
    const reversed = `SELECT i FROM generate_series(1, 3) AS i
      ORDER BY CASE WHEN current_setting('port') = '${new URL(databases.urls.s0).port}' THEN i ELSE -i END`;
    await expect(comparison.expectSame(reversed)).rejects.toThrow();
    await comparison.expectSame(reversed, undefined, { ordered: false });
  });
});

describe('the wire client', () => {
  test('logs in and reads rows, columns and errors message by message', async () => {
    const { port } = new URL(databases.urls.oracle);
    const client = await WireClient.login({ port: Number(port), database: databases.name });
    client.parse('SELECT $1::int4 AS n, NULL::text');
    client.bind({ values: [int32(7)], formats: [1] });
    client.describe('P');
    client.execute();
    client.sync();
    const messages = await client.until('Z');
    expect(messages.map((message) => message.type).join('')).toBe('12TDCZ');
    expect(rowFields(messages[2]!).map(({ name, typeOid }) => [name, typeOid])).toEqual([
      ['n', 23],
      ['text', 25],
    ]);
    expect(rowTexts(messages[3]!)).toEqual(['7', null]);
    client.query('SELECT 1/0');
    const [error] = await client.until('Z');
    expect(errorFields(error!)['C']).toBe('22012');
    client.terminate();
    expect(await client.closed()).toEqual([]);
  });

  test('reads the one byte that answers an SSLRequest', async () => {
    const { port } = new URL(databases.urls.oracle);
    const client = await WireClient.open({ port: Number(port) });
    client.send(Buffer.concat([int32(8), int32(80877103)]));
    expect(await client.nextByte()).toBe('N');
    client.destroy();
  });
});

describe('a proxy process', () => {
  test('answers, says what it logs, and ends with code 0 on SIGTERM', async () => {
    const config = clusterConfig(databases, { shop: { parcels: { shard_key: 'id' } } });
    const proxy = await startProxy({ config });
    const comparison = await Comparison.open(proxy.url, databases.urls.oracle);
    await comparison.both('CREATE TABLE parcels (id int PRIMARY KEY, weight numeric)');
    await comparison.both('INSERT INTO parcels VALUES (1, 2.5), (2, NULL)');
    await comparison.expectSame('SELECT * FROM parcels WHERE id = $1', [1]);
    await comparison.expectSame('SELECT weight FROM parcels ORDER BY weight LIMIT 1');
    await comparison.expectRefused('SELECT ctid FROM parcels');
    await comparison.close();
    expect(proxy.logs()).toContain('listening');
    expect(await proxy.stop()).toBe(0);
  });

  test('that ends before it is ready fails with its log', async () => {
    const config = { ...clusterConfig(databases), databse: 'typo' };
    await expect(startProxy({ config })).rejects.toThrow(/did you mean|database/i);
  });
});
