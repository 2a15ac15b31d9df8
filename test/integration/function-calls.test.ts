/*
 * FunctionCall messages: what the catalog shard answers as one PostgreSQL would passes, all else is refused, and the
 * session goes on.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { frame, int16, int32 } from '../support/wire-messages.js';
import { sqlStates, WirePair } from '../support/wire-pair.js';

let scene: Scene;
let pair: WirePair;

beforeAll(async () => {
  scene = await openScene(
    'function_calls',
    { main: { settings: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      'CREATE SEQUENCE counted',
    ],
  );
  pair = await WirePair.open(scene.proxy.port, scene.oraclePort, {
    database: scene.databases.name,
  });
});
afterAll(async () => {
  pair.close();
  await scene.close();
});

/** A FunctionCall with arguments as text, and a result as text. */
function call(oid: number, ...values: readonly (string | null)[]): Buffer {
  const given = values.map((value) => {
    if (value === null) return int32(-1);
    return Buffer.concat([int32(Buffer.byteLength(value)), Buffer.from(value)]);
  });
  return frame('F', int32(oid), int16(0), int16(values.length), ...given, int16(0));
}

async function oidOf(signature: string): Promise<number> {
  const [row] = await scene.databases.query(
    'main',
    `SELECT '${signature}'::regprocedure::oid::int8`,
  );
  return Number(row![0]);
}

async function same(...values: Parameters<typeof call>): Promise<void> {
  await pair.expectSame((client) => client.send(call(...values)));
}

async function refused(message: Buffer): Promise<string[]> {
  pair.proxy.send(message);
  const states = sqlStates(await pair.proxy.until('Z'));
  await pair.expectSame((client) => client.query('SELECT 1'));
  return states;
}

test('functions that only compute are answered, and their errors too', async () => {
  const plus = await oidOf('int4pl(int4, int4)');
  await same(plus, '40', '2');
  await same(plus, '40', null);
  await same(plus, '2147483647', '1');
  await same(plus, '40');
  await same(plus, 'x', '2');
  await same(await oidOf('upper(text)'), 'grün');
  await same(await oidOf('sum(int4)'), '1');
  await same(await oidOf('generate_series(int4, int4)'), '1', '2');
});

test('one that does not exist is 42883, one cut off 08P01', async () => {
  await same(4_000_000_000);
  await pair.expectSame((client) => client.send(frame('F', Buffer.alloc(2))));
  await pair.expectSame((client) => client.send(frame('F', int32(1299), Buffer.alloc(1))), {
    codesOnly: true,
  });
});

test('in transactions, those that have failed included, and between messages of a pipeline', async () => {
  const plus = await oidOf('int4pl(int4, int4)');
  await pair.expectSame((client) => client.query('BEGIN'));
  await pair.expectSame((client) => client.query("INSERT INTO items VALUES (1, 'a')"));
  await same(plus, '1', '2');
  await same(plus, 'x', '2');
  await same(plus, '1', '2');
  await pair.expectSame((client) => client.query('ROLLBACK'));
  await pair.expectSame(
    (client) => {
      client.send(call(plus, '1', '2'), call(plus, '3', '4'));
      client.parse('SELECT name FROM items WHERE id = 1');
      client.bind();
      client.execute();
      client.sync();
    },
    { syncs: 3, delivery: 'coalesced' },
  );
});

test('locks are kept for the session', async () => {
  await same(await oidOf('pg_advisory_lock(int8)'), '77');
  await pair.expectSame((client) => client.query('SELECT pg_advisory_unlock(77)'));
  await pair.expectSame((client) => client.query('SELECT pg_advisory_unlock(77)'));
});

test('what more than one shard, or the proxy, has to do with is refused', async () => {
  for (const [signature, ...values] of [
    ['nextval(regclass)', 'counted'],
    ['set_config(text, text, bool)', 'work_mem', '1MB', 'f'],
    ['pg_backend_pid()'],
    ['pg_cancel_backend(int4)', '1'],
    ['pg_notify(text, text)', 'a', 'b'],
    ['lo_creat(int4)', '1'],
    ['table_to_xml(regclass, bool, bool, text)', 'items', 't', 't', ''],
  ] as const) {
    const message = call(await oidOf(signature), ...values);
    expect([signature, await refused(message)]).toEqual([signature, ['0A000']]);
  }
});
