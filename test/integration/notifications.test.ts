import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { openScene, type Scene } from '../support/scene.js';
import { WireClient } from '../support/wire-client.js';
import type { WireMessage } from '../support/wire-messages.js';
import { sqlStates, typesOf } from '../support/wire-pair.js';

const tables = { main: { settings: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } };
let scene: Scene;
let other: Proxy;
const clients: WireClient[] = [];

beforeAll(async () => {
  const extra = { pool: { size: 1, queue_timeout: '2s' } };
  scene = await openScene(
    'notifications',
    tables,
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      `INSERT INTO items VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')`,
      `INSERT INTO settings VALUES ('k', 'v')`,
    ],
    extra,
  );
  other = await startProxy({ config: clusterConfig(scene.databases, tables, extra) });
});
afterAll(async () => {
  await other.stop();
  await scene.close();
});
afterEach(() => {
  for (const client of clients.splice(0)) client.terminate();
});

interface Client {
  readonly wire: WireClient;
  readonly pid: number;
}

async function open(port = scene.proxy.port): Promise<Client> {
  const options = { port, database: scene.databases.name };
  const wire = await WireClient.open(options);
  clients.push(wire);
  wire.startup(options);
  const key = (await wire.until('Z')).find(({ type }) => type === 'K')!;
  return { wire, pid: key.body.readInt32BE(0) };
}

async function run({ wire }: Client, ...queries: readonly string[]): Promise<WireMessage[]> {
  const messages: WireMessage[] = [];
  for (const sql of queries) {
    wire.query(sql);
    messages.push(...(await wire.until('Z')));
  }
  expect(sqlStates(messages), queries.join('; ')).toEqual([]);
  return messages;
}

/** `pid channel payload` of NotificationResponses. */
function heard(messages: readonly WireMessage[]): string[] {
  return messages
    .filter(({ type }) => type === 'A')
    .map(({ body }) => {
      const [channel, payload] = body.toString('utf8', 4).split('\0');
      return `${body.readInt32BE(0)} ${channel} ${payload}`;
    });
}

async function next({ wire }: Client): Promise<string> {
  const message = await wire.next();
  expect(message.type).toBe('A');
  return heard([message])[0]!;
}

describe('LISTEN and NOTIFY', () => {
  test('reach other clients, by the process id that those know', async () => {
    const [a, b, c] = [await open(), await open(), await open()];
    await run(a, 'LISTEN news', 'LISTEN "Loud"');
    await run(b, "NOTIFY news, 'one'");
    expect(await next(a)).toBe(`${b.pid} news one`);
    await run(c, `SELECT pg_notify('Loud', 'two ' || 1)`, 'NOTIFY nobody', 'NOTIFY news');
    expect(await next(a)).toBe(`${c.pid} Loud two 1`);
    expect(await next(a)).toBe(`${c.pid} news `);
    await run(a, 'UNLISTEN news');
    await run(b, 'NOTIFY news', `NOTIFY "Loud"`);
    expect(await next(a)).toBe(`${b.pid} Loud `);
    await run(a, 'UNLISTEN *');
    await run(b, 'NOTIFY "Loud"');
    expect(await a.wire.silentFor(100)).toBe(true);
  });

  test('of a session that listens to itself, in front of ReadyForQuery', async () => {
    const a = await open();
    await run(a, 'LISTEN own');
    expect(typesOf(await run(a, "NOTIFY own, 'x'"))).toBe('CAZ');
    expect(typesOf(await run(a, "SELECT pg_notify('own', 'y')"))).toBe('TDCAZ');
    const messages = await run(a, 'BEGIN', "NOTIFY own, 'z'", 'NOTIFY own, $$z$$', 'COMMIT');
    expect(typesOf(messages)).toBe('CZCZCZCAZ');
    expect(heard(messages)).toEqual([`${a.pid} own z`]);
    a.wire.parse('SELECT pg_notify($1, $2)');
    a.wire.bind({ values: ['own', 'e'] });
    a.wire.execute();
    a.wire.sync();
    expect(typesOf(await a.wire.until('Z'))).toBe('12DCAZ');
  });

  test('wait for the commit, and are gone with a rollback', async () => {
    const [a, b] = [await open(), await open()];
    await run(a, 'LISTEN tx');
    await run(b, 'BEGIN', "NOTIFY tx, 'undone'", 'ROLLBACK');
    await run(b, 'BEGIN', "NOTIFY tx, 'done'");
    expect(await a.wire.silentFor(100)).toBe(true);
    await run(b, "UPDATE items SET name = 'n' WHERE id IN (1, 2, 3, 4)", 'COMMIT');
    expect(await next(a)).toBe(`${b.pid} tx done`);
  });

  test('are not delivered within a transaction of the hearer', async () => {
    const [a, b] = [await open(), await open()];
    await run(a, 'LISTEN later', 'BEGIN', 'SELECT 1');
    await run(b, "NOTIFY later, 'x'");
    expect(await a.wire.silentFor(100)).toBe(true);
    expect(heard(await run(a, 'SELECT id FROM items WHERE id = 1', 'COMMIT', 'SELECT 1'))).toEqual([
      `${b.pid} later x`,
    ]);
  });

  test('LISTEN and UNLISTEN of a transaction take effect when it commits', async () => {
    const [a, b] = [await open(), await open()];
    await run(a, 'BEGIN', 'LISTEN kept', 'SAVEPOINT s', 'LISTEN undone', 'ROLLBACK TO s', 'COMMIT');
    await run(b, 'NOTIFY undone', 'NOTIFY kept');
    expect(await next(a)).toBe(`${b.pid} kept `);
    await run(a, 'BEGIN', 'UNLISTEN kept', 'LISTEN other', 'ROLLBACK');
    await run(b, 'NOTIFY other', 'NOTIFY kept');
    expect(await next(a)).toBe(`${b.pid} kept `);
    await run(a, 'DISCARD ALL');
    await run(b, 'NOTIFY kept');
    expect(await a.wire.silentFor(100)).toBe(true);
  });

  test('across proxies', async () => {
    const [a, b] = [await open(), await open(other.port)];
    await run(a, 'LISTEN far');
    await run(b, 'LISTEN far', "NOTIFY far, 'from b'");
    expect((await next(a)).replace(/^\d+/, '')).toBe(' far from b');
    await run(a, "NOTIFY far, 'from a'");
    expect((await next(b)).replace(/^\d+/, '')).toBe(' far from a');
  });

  test('go on when the connection that listens is lost', async () => {
    const [a, b] = [await open(), await open()];
    await run(a, 'LISTEN again');
    const kill = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'shardgate notifications' AND datname = current_database()`;
    await scene.databases.query('main', kill);
    await expect
      .poll(async () => {
        await run(b, 'NOTIFY again');
        return a.wire.silentFor(50);
      })
      .toBe(false);
    expect(await next(a)).toBe(`${b.pid} again `);
  });

  test('what a failed text or pipeline has listened to is void', async () => {
    const [a, b] = [await open(), await open()];
    await run(a, 'LISTEN kept; SELECT 1');
    a.wire.query('LISTEN one; UNLISTEN kept; SELECT 1/0');
    await a.wire.until('Z');
    for (const sql of ['LISTEN two', 'SELECT 1/0']) {
      a.wire.parse(sql);
      a.wire.bind({});
      a.wire.execute();
    }
    a.wire.sync();
    await a.wire.until('Z');
    a.wire.parse('LISTEN three');
    a.wire.bind({});
    a.wire.execute();
    a.wire.sync();
    await a.wire.until('Z');
    await run(b, 'NOTIFY one', 'NOTIFY two', 'NOTIFY three', 'NOTIFY kept');
    expect(await next(a)).toBe(`${b.pid} three `);
    expect(await next(a)).toBe(`${b.pid} kept `);
  });

  test('the channels are those of the session', async () => {
    const a = await open();
    const listed = async (): Promise<string[][]> => {
      const answers: string[][] = [];
      for (const sql of [
        'SELECT pg_listening_channels()',
        'SELECT * FROM pg_listening_channels()',
        'SELECT c FROM pg_listening_channels() AS c ORDER BY c DESC',
      ]) {
        const messages = await run(a, sql);
        const rows = messages.filter(({ type }) => type === 'D');
        answers.push(rows.map(({ body }) => body.toString('utf8', 6)));
      }
      return answers;
    };
    expect(await listed()).toEqual([[], [], []]);
    await run(a, 'LISTEN one', String.raw`LISTEN "a ""b"" \ c, {d}"`, 'LISTEN one');
    const odd = String.raw`a "b" \ c, {d}`;
    expect(await listed()).toEqual([
      ['one', odd],
      ['one', odd],
      ['one', odd],
    ]);
    await run(a, 'UNLISTEN one');
    expect(await listed()).toEqual([[odd], [odd], [odd]]);
  });

  test('errors are those of PostgreSQL', async () => {
    const a = await open();
    for (const [sql, state] of [
      [`SELECT pg_notify('', 'x')`, '22023'],
      [`SELECT pg_notify('c', repeat('x', 8000))`, '22023'],
      [`SELECT pg_notify('c', name) FROM items WHERE id = 1`, '0A000'],
    ] as const) {
      a.wire.query(sql);
      expect(sqlStates(await a.wire.until('Z')), sql).toEqual([state]);
    }
    await run(a, "SELECT pg_notify('c', value) FROM settings");
  });
});
