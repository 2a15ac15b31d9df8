import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { serverNames, shardNames } from '../support/servers.js';

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
