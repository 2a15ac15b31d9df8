/* What the fuzzer and the chaos test have found once, each in its smallest form. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { shardNames } from '../support/servers.js';
import { WireClient } from '../support/wire-client.js';
import { rowTexts } from '../support/wire-messages.js';
import { sqlStates, typesOf } from '../support/wire-pair.js';

let scene: Scene;

beforeAll(async () => {
  const sharded = { shard_key: 'id', vindex: 'by_key' };
  scene = await openScene(
    'hazards',
    {
      shop: {
        numbers: sharded,
        fresh1: sharded,
        fresh2: sharded,
        fresh3: sharded,
        fresh4: sharded,
      },
    },
    ['CREATE TABLE numbers (id int PRIMARY KEY, n int)'],
  );
});
afterAll(async () => {
  await scene.close();
});

function login(): Promise<WireClient> {
  return WireClient.login({ port: scene.proxy.port, database: scene.databases.name });
}

test('a COPY that a shard refuses is answered before its end, and what comes of it later is dropped', async () => {
  const client = await login();
  client.query('COPY numbers FROM STDIN');
  await client.until('G');
  client.copyData('1\t1\n2\t2\n3\tno number\n4\t4\n');
  const messages = await client.until('Z');
  expect(sqlStates(messages)).toEqual(['22P02']);
  client.copyData('5\t5\n');
  client.copyDone();
  client.query('SELECT n FROM numbers WHERE id = 1');
  const after = await client.until('Z');
  expect(sqlStates(after)).toEqual([]);
  expect(typesOf(after)).toBe('TCZ');
  client.terminate();
});

test('so it is inside a transaction, which goes on by ROLLBACK', async () => {
  const client = await login();
  client.query('BEGIN');
  await client.until('Z');
  client.query('COPY numbers FROM STDIN');
  await client.until('G');
  client.copyData('1\t1\n2\t2\n3\tno number\n4\t4\n');
  await sleep(200);
  client.copyDone();
  expect(typesOf(await client.until('Z'))).toBe('EZ');
  client.query('ROLLBACK');
  expect(typesOf(await client.until('Z'))).toBe('CZ');
  client.query('SELECT 1');
  const row = (await client.until('Z')).find((message) => message.type === 'D');
  expect(rowTexts(row!)).toEqual(['1']);
  client.terminate();
});

test('a statement that its shard ends with the connection is answered by one error', async () => {
  const client = await login();
  client.query('INSERT INTO numbers VALUES (9, 9)');
  await client.until('Z');
  client.query('SELECT pg_sleep(5) FROM numbers WHERE id = 9');
  await sleep(100);
  await scene.databases.onEach(
    shardNames,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE query LIKE 'SELECT pg_sleep(5)%' AND datname = current_database()`,
  );
  const messages = await client.until('Z');
  expect(sqlStates(messages)).toHaveLength(1);
  client.query('SELECT n FROM numbers WHERE id = 9');
  expect(typesOf(await client.until('Z'))).toBe('TDCZ');
  client.terminate();
});

test('a table is there for everybody as soon as its CREATE TABLE is answered', async () => {
  const [one, other] = [await login(), await login()];
  const creates = [
    ['CREATE TABLE fresh1 (id int PRIMARY KEY)'],
    ['BEGIN', 'CREATE TABLE fresh2 (id int PRIMARY KEY)', 'COMMIT'],
    ['CREATE TABLE fresh3 (id int PRIMARY KEY); SELECT 1'],
  ];
  for (const [at, statements] of creates.entries()) {
    for (const sql of statements) {
      one.query(sql);
      await one.until('Z');
    }
    other.query(`INSERT INTO fresh${at + 1} VALUES (1)`);
    expect(sqlStates(await other.until('Z'))).toEqual([]);
  }
  one.parse('CREATE TABLE fresh4 (id int PRIMARY KEY)');
  one.bind();
  one.execute();
  one.sync();
  await one.until('Z');
  other.query('INSERT INTO fresh4 VALUES (1)');
  expect(sqlStates(await other.until('Z'))).toEqual([]);
  one.terminate();
  other.terminate();
});
