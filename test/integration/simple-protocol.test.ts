import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import {
  deliveries,
  sqlStates,
  typesOf,
  WirePair,
  type PairOptions,
} from '../support/wire-pair.js';
import { WireClient } from '../support/wire-client.js';
import { frame, texts, type WireMessage } from '../support/wire-messages.js';

let scene: Scene;
let pair: WirePair;

beforeAll(async () => {
  scene = await openScene(
    'simple_protocol',
    { main: { settings: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      `INSERT INTO items VALUES (1, 'a'), (2, NULL), (3, 'c'), (4, 'd'), (5, '')`,
    ],
  );
  pair = await WirePair.open(scene.proxy.port, scene.oraclePort, {
    database: 'simple_protocol',
    parameters: { application_name: 'tests' },
  });
});
afterAll(async () => {
  pair.close();
  await scene.close();
});

async function query(sql: string, options: PairOptions = {}): Promise<WireMessage[]> {
  return pair.expectSame((client) => client.query(sql), options);
}

describe.each(deliveries)('a Query sent in one way: %s', (delivery) => {
  test.each([
    ['', 'IZ'],
    [';', 'IZ'],
    [';;', 'IZ'],
    ['   ', 'IZ'],
    ['-- nothing', 'IZ'],
    ['/* nothing /* nested */ */', 'IZ'],
    [';; SELECT 1 ;; ', 'TDCZ'],
    ['SELECT 1', 'TDCZ'],
    ['SELECT 1; SELECT 2', 'TDCTDCZ'],
    ['SELECT id, name FROM items WHERE id = 2', 'TDCZ'],
    ['SELECT FROM items WHERE id = 2', 'TDCZ'],
    ['SELECT id FROM items', 'TDDDDDCZ'],
    ['SELECT id FROM items; SELECT 1', 'TDDDDDCTDCZ'],
    ['SELECT id FROM items WHERE id = 2; SELECT name FROM items WHERE id = 4', 'TDCTDCZ'],
    ['SELECT * FROM items WHERE id = 77', 'TCZ'],
    ['SELECT 1/0', 'EZ'],
    ['SELECT 1; SELECT 1/0; SELECT 2', 'TDCEZ'],
    ['SELECT id FROM items; SELECT 1/0', 'TDDDDDCEZ'],
    ['SELEC', 'EZ'],
    ['SELECT 1; SELEC', 'EZ'],
    ['SELECT missing FROM items', 'EZ'],
    ['SHOW server_encoding', 'TDCZ'],
    ["SELECT set_config('application_name', 'x', false)", 'TDCSZ'],
    ["SET application_name = 'y'", 'CSZ'],
    ["SET application_name = 'z'; SHOW application_name", 'CTDCSZ'],
    ["SET application_name = 'a'; SELECT 1/0", 'CEZ'],
    ['RESET application_name', 'CSZ'],
    ['VACUUM settings', 'CZ'],
  ])('%s', async (sql, types) => {
    const messages = await query(sql, { delivery, unordered: true });
    expect(typesOf(messages)).toBe(types);
  });
});

describe('several statements in one Query are one transaction', () => {
  test('an error undoes what came before it, on one shard and on several', async () => {
    await query("INSERT INTO items VALUES (10, 'x'); SELECT 1/0");
    await query("INSERT INTO items VALUES (11, 'x'), (12, 'y'), (13, 'z'); SELECT 1/0");
    await query("INSERT INTO settings VALUES ('k', 'v'); INSERT INTO settings VALUES ('k', 'v')");
    await query('SELECT * FROM items', { unordered: true });
    await query('SELECT * FROM settings');
  });

  test('all of them take effect where none fails', async () => {
    await query(
      "INSERT INTO items VALUES (10, 'x'); UPDATE items SET name = 'y' WHERE id = 10; SELECT * FROM items WHERE id = 10",
    );
    await query("UPDATE items SET name = 'z'; SELECT * FROM items", { unordered: true });
    await query('DELETE FROM items WHERE id = 10');
  });

  test('statements that write several shards one by one are one transaction', async () => {
    await query("INSERT INTO items VALUES (20, ''); INSERT INTO settings VALUES ('a', 'b')");
    await query("INSERT INTO items VALUES (21, ''); INSERT INTO settings VALUES ('a', 'b')", {
      codesOnly: true,
    });
    await query("DELETE FROM settings; INSERT INTO items VALUES (22, ''), (23, ''); SELECT 1/0");
    await query('SELECT * FROM items', { unordered: true });
    await query('SELECT * FROM settings');
  });

  test('BEGIN and COMMIT among them divide it', async () => {
    await query("INSERT INTO items VALUES (30, 'a'); BEGIN; INSERT INTO items VALUES (30, 'b')", {
      codesOnly: true,
    });
    await query('ROLLBACK');
    await query("BEGIN; INSERT INTO items VALUES (31, 'a'); COMMIT; SELECT 1/0");
    await query("BEGIN; INSERT INTO items VALUES (32, 'a'); ROLLBACK; SELECT 1");
    await query('SELECT * FROM items', { unordered: true });
  });

  test('COMMIT and ROLLBACK without BEGIN end what stands in front of them', async () => {
    const rows = (from: number): string =>
      `INSERT INTO items VALUES (${from}, 'a'), (${from + 1}, 'b'), (${from + 2}, 'c')`;
    await query(`${rows(40)}; COMMIT; ${rows(43)}; SELECT 1/0`);
    await query(`${rows(46)}; ROLLBACK; INSERT INTO settings VALUES ('left', 'over')`);
    await query(`SET work_mem = '5MB'; ${rows(49)}; ROLLBACK; SHOW work_mem; COMMIT; SELECT 1/0`);
    await query(`SET work_mem = '6MB'; ${rows(52)}; COMMIT; SELECT 1/0`);
    await query('SHOW work_mem; RESET work_mem; COMMIT');
    await query(`${rows(55)}; COMMIT; BEGIN; ${rows(58)}`);
    await query('ROLLBACK');
    await query('SELECT * FROM items', { unordered: true });
    await query('DELETE FROM items WHERE id >= 40; DELETE FROM settings');
  });
});

describe('transaction states in ReadyForQuery', () => {
  const state = (messages: readonly WireMessage[]): string => messages.at(-1)!.body.toString();

  test('go from I to T to E and back as on Postgres', async () => {
    expect(state(await query('BEGIN'))).toBe('T');
    expect(state(await query('SELECT 1'))).toBe('T');
    expect(state(await query('SELECT * FROM items WHERE id = 1'))).toBe('T');
    expect(state(await query('SELECT 1/0'))).toBe('E');
    expect(sqlStates(await query('SELECT 1'))).toEqual(['25P02']);
    expect(sqlStates(await query('SELECT id FROM items'))).toEqual(['25P02']);
    expect(state(await query('COMMIT'))).toBe('I');
    expect(state(await query('BEGIN; SELECT 1/0; ROLLBACK'))).toBe('E');
    expect(sqlStates(await query('SELECT 1'))).toEqual(['25P02']);
    expect(state(await query(''))).toBe('E');
    expect(state(await query('ROLLBACK'))).toBe('I');
  });

  test.each([
    ['COMMIT', []],
    ['ROLLBACK', []],
    ['COMMIT AND CHAIN', ['25P01']],
    ['SAVEPOINT a', ['25P01']],
    ['ROLLBACK TO a', ['25P01']],
    ['RELEASE a', ['25P01']],
    ['END', []],
    ['ABORT', []],
  ])('%s outside a transaction', async (sql, states) => {
    const messages = await query(sql);
    expect(sqlStates(messages)).toEqual(states);
    expect(state(messages)).toBe('I');
  });

  test('BEGIN inside a transaction is a warning, COMMIT AND CHAIN leaves one open', async () => {
    await query('START TRANSACTION');
    expect(typesOf(await query('BEGIN'))).toBe('NCZ');
    expect(state(await query('COMMIT AND CHAIN'))).toBe('T');
    await query('SELECT * FROM items WHERE id = 1');
    expect(state(await query('ROLLBACK AND CHAIN'))).toBe('T');
    expect(state(await query('END'))).toBe('I');
  });
});

describe('parameters that are reported', () => {
  test('at login are those of Postgres 18, with its values', async () => {
    const login = async (port: number): Promise<string[]> => {
      const client = await WireClient.open({ port });
      client.startup({
        port,
        database: 'simple_protocol',
        parameters: { application_name: 'me', DateStyle: 'German', TimeZone: 'Europe/Berlin' },
      });
      const messages = await client.until('Z');
      client.terminate();
      return messages.filter(({ type }) => type === 'S').map((m) => texts(m).join('='));
    };
    const ours = await login(scene.proxy.port);
    expect(ours.length).toBe(15);
    expect(ours.sort()).toEqual((await login(scene.oraclePort)).sort());
  });

  test('arrive before ReadyForQuery when they change, and again when that is rolled back', async () => {
    await query("SET TIME ZONE 'Asia/Tokyo'");
    await query("SET datestyle = 'SQL, DMY'");
    await query('SELECT current_date::timestamptz(0) > now()');
    await query('BEGIN');
    await query('SELECT * FROM items WHERE id = 3');
    await query("SET TimeZone = 'Asia/Tokyo'");
    await query('SET search_path = pg_catalog, public');
    await query('COMMIT');
    await query('SHOW search_path');
    await query('BEGIN');
    await query('SELECT * FROM items WHERE id = 3');
    await query("SET TimeZone = 'UTC'");
    expect(typesOf(await query('ROLLBACK'))).toBe('CSZ');
    await query('RESET ALL');
    await query('SHOW TimeZone');
  });
});

describe('framing', () => {
  test('a Query of a megabyte is answered', async () => {
    const text = 'x'.repeat(1_000_000);
    await query(`SELECT length('${text}')`);
    await query(`SELECT name FROM items WHERE id = 3 AND name <> '${text}'`);
  });

  test('many Queries in one write are answered in order', async () => {
    await pair.expectSame(
      (client) => {
        for (let i = 0; i < 50; i++)
          client.query(`SELECT ${i}, name FROM items WHERE id = ${i % 7}`);
      },
      { syncs: 50, delivery: 'coalesced' },
    );
  });

  test('a Query without its terminating zero is an error, and the session lives', async () => {
    await pair.expectSame((client) => client.send(frame('Q', Buffer.from('SELECT 1'))), {
      codesOnly: true,
    });
    await query('SELECT 1');
  });

  test('text that is not UTF-8 is an error, and the session lives', async () => {
    await pair.expectSame((client) => client.send(frame('Q', Buffer.from([0x53, 0xff, 0x27, 0]))), {
      codesOnly: true,
    });
    await query('SELECT 1');
  });

  test('an unknown message type, a length below 4 and one of 2 GB end the session', async () => {
    for (const bytes of [
      Buffer.from('!\0\0\0\x04', 'latin1'),
      Buffer.from('Q\0\0\0\x03', 'latin1'),
      Buffer.from('Q\xff\xff\xff\xff', 'latin1'),
      Buffer.from('Q\x7f\xff\xff\xff', 'latin1'),
    ]) {
      const client = await WireClient.login({
        port: scene.proxy.port,
        database: 'simple_protocol',
      });
      client.send(bytes);
      for (const message of await client.closed()) expect(message.type).toBe('E');
    }
    await query('SELECT 1');
  });
});

describe('COPY', () => {
  test('FROM STDIN takes rows in pieces, and reports a row that cannot be stored', async () => {
    // Where a table is placed that the configuration does not name is told in a notice.
    await query('SET client_min_messages = warning');
    await query('CREATE TABLE copied (id int)');
    await query('DROP TABLE copied');
    await query('RESET client_min_messages');
    for (const table of ['items', 'settings']) {
      const copy = (data: readonly string[], end: (client: WireClient) => void) => () =>
        pair.expectSame(
          (client) => {
            client.query(`COPY ${table} FROM STDIN`);
            for (const piece of data) client.copyData(piece);
            end(client);
          },
          { codesOnly: true },
        );
      await copy(['100\tone\n', '101\tt', 'wo\n10', '2\t\\N\n'], (client) => client.copyDone())();
      await copy([], (client) => client.copyDone())();
      await copy(['103\tx\n'], (client) => client.copyFail('changed my mind'))();
      await copy(['104\ta\n', '105\tb\textra\n'], (client) => client.copyDone())();
      await copy(['106\ta\n', '100\tb\n'], (client) => client.copyDone())();
      await query(`SELECT * FROM ${table}`, { unordered: true });
    }
  });

  test('TO STDOUT gives every row once', async () => {
    await query('COPY items TO STDOUT', { unordered: true }).catch(() => undefined);
    await query('COPY settings TO STDOUT (FORMAT csv, HEADER)');
    await query('COPY (SELECT * FROM items WHERE id = 3) TO STDOUT');
    await query('COPY (SELECT 1/0) TO STDOUT');
    await query('COPY nowhere TO STDOUT');
    await query('COPY nowhere FROM STDIN');
  });

  test('messages that are late or idle are dropped', async () => {
    await pair.expectSame((client) => {
      client.copyData('late\n');
      client.copyDone();
      client.copyFail('late');
      client.query('SELECT 1');
    });
  });

  test('a Query in the middle of copy data ends the session', async () => {
    for (const table of ['items', 'settings']) {
      const client = await WireClient.login({
        port: scene.proxy.port,
        database: 'simple_protocol',
      });
      client.query(`COPY ${table} FROM STDIN`);
      await client.until('G');
      client.copyData('500\tx\n');
      client.query('SELECT 1');
      const messages = await client.closed();
      expect(sqlStates(messages)).toEqual(['08P01', '08P01']);
      await query(`SELECT * FROM ${table}`, { unordered: true });
    }
  });
});
