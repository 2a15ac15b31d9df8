import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { connectPg } from '../support/scene.js';
import { sqlStates, typesOf } from '../support/wire-pair.js';
import { WireClient } from '../support/wire-client.js';
import { errorFields, frame, int32, texts, type WireMessage } from '../support/wire-messages.js';

const DATABASE = 'login';
let databases: DatabaseSet;
let proxy: Proxy;
let folder: string;

beforeAll(async () => {
  databases = await createDatabaseSet(DATABASE);
  folder = mkdtempSync(join(tmpdir(), 'shardgate-tls-'));
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'],
      ...files,
    ],
    { stdio: 'ignore' },
  );
  proxy = await start({
    auth: {
      method: 'scram-sha-256',
      users: [
        { name: 'postgres', password: 'secret' },
        { name: 'other', password: 'pässword' },
      ],
    },
    listen: {
      tls: { mode: 'prefer', cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') },
    },
    limits: { max_clients: 8, login_timeout: '1s' },
  });
});
afterAll(async () => {
  await proxy.stop();
  await databases.drop();
  rmSync(folder, { recursive: true, force: true });
});

function start(extra: Readonly<Record<string, unknown>>): Promise<Proxy> {
  const tables = { shop: { items: { shard_key: 'id', vindex: 'by_key' } } };
  return startProxy({ config: clusterConfig(databases, tables, extra) });
}

/** What a login with `pg` ends with: the answer of a query, or the error's SQLSTATE and text. */
async function attempt(port: number, config: pg.ClientConfig): Promise<unknown> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    database: DATABASE,
    user: 'postgres',
    ...config,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query('SELECT 1 AS one');
    return rows[0].one;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return `${code ?? ''} ${message}`;
  } finally {
    await client.end().catch(() => undefined);
  }
}

describe('SCRAM-SHA-256', () => {
  test('lets the right password in, also one beyond ASCII', async () => {
    expect(await attempt(proxy.port, { password: 'secret' })).toBe(1);
    expect(await attempt(proxy.port, { user: 'other', password: 'pässword' })).toBe(1);
  });

  test('answers a wrong password and an unknown user alike', async () => {
    expect(await attempt(proxy.port, { password: 'wrong' })).toBe(
      '28P01 password authentication failed for user "postgres"',
    );
    expect(await attempt(proxy.port, { user: 'nobody', password: 'secret' })).toBe(
      '28P01 password authentication failed for user "nobody"',
    );
    expect(await attempt(proxy.port, { user: 'postgres', password: 'pässword' })).toMatch(/^28P01/);
  });

  test('names a missing database only to who has proved to be somebody', async () => {
    expect(await attempt(proxy.port, { database: 'elsewhere', password: 'secret' })).toMatch(
      /^3D000/,
    );
    expect(await attempt(proxy.port, { database: 'elsewhere', password: 'wrong' })).toMatch(
      /^28P01/,
    );
  });

  test('broken messages end that login only', async () => {
    for (const bytes of [
      frame('p', 'SCRAM-SHA-256', int32(9), Buffer.from('n,,n=,r=x')),
      frame('p', 'SCRAM-SHA-256', int32(5), Buffer.from('hello')),
      frame('p', 'SCRAM-SHA-1', int32(0)),
      frame('p', Buffer.alloc(0)),
      frame('p', Buffer.alloc(3)),
      frame('Q', 'SELECT 1'),
      Buffer.from('p\xff\xff\xff\xff', 'latin1'),
      frame('', int32(196608), 'user', 'other', 'database', DATABASE, Buffer.from([0])),
    ]) {
      const client = await WireClient.open({ port: proxy.port });
      client.startup({ port: proxy.port, database: DATABASE });
      expect((await client.next()).type).toBe('R');
      client.send(bytes);
      const messages = await client.closed();
      expect(typesOf(messages)).not.toContain('Z');
    }
    expect(await attempt(proxy.port, { password: 'secret' })).toBe(1);
  });

  test('broken messages are told what PostgreSQL says of them', async () => {
    const first = (text: string): Buffer =>
      frame('p', 'SCRAM-SHA-256', int32(text.length), Buffer.from(text));
    const other = frame('', int32(196608), 'user', 'other', 'database', DATABASE, Buffer.from([0]));
    const answers: readonly [Buffer, string][] = [
      [first('n,,r=x'), '08P01 malformed SCRAM message'],
      [first('n,,n=,r=x,y'), '08P01 malformed SCRAM message'],
      [first('n,,m=x,n=,r=x'), '0A000 client requires an unsupported SCRAM extension'],
      [
        first('n,a=other,n=,r=x'),
        '0A000 client uses authorization identity, but it is not supported',
      ],
      [frame('Q', 'SELECT 1'), '08P01 expected SASL response, got message type 81'],
      [other, '08P01 expected SASL response, got message type 0'],
      [other.subarray(0, 1), '08P01 expected SASL response, got message type 0'],
    ];
    for (const [bytes, answer] of answers) {
      const client = await WireClient.open({ port: proxy.port });
      client.startup({ port: proxy.port, database: DATABASE });
      expect((await client.next()).type).toBe('R');
      client.send(bytes);
      const { C: code, M: message } = errorFields((await client.closed())[0]!);
      expect(`${code} ${message}`).toBe(answer);
    }
  });
});

describe('TLS', () => {
  const encrypted = { rejectUnauthorized: false };

  test('is offered and used', async () => {
    expect(await attempt(proxy.port, { password: 'secret', ssl: encrypted })).toBe(1);
    const client = await connectPg(
      `postgres://postgres:secret@127.0.0.1:${proxy.port}/${DATABASE}`,
      {
        ssl: encrypted,
      },
    );
    await client.query('CREATE TABLE IF NOT EXISTS items (id int8 PRIMARY KEY, name text)');
    const text = 'x'.repeat(300_000);
    await client.query('INSERT INTO items VALUES (1, $1) ON CONFLICT DO NOTHING', [text]);
    const { rows } = await client.query('SELECT name FROM items WHERE id = 1');
    expect(rows[0].name).toBe(text);
    await client.end();
  });

  test('may be asked for behind a refused GSS encryption, once', async () => {
    const client = await WireClient.open({ port: proxy.port });
    client.send(Buffer.concat([int32(8), int32(80877104)]));
    expect(await client.nextByte()).toBe('N');
    client.send(Buffer.concat([int32(8), int32(80877103)]));
    expect(await client.nextByte()).toBe('S');
    client.destroy();
  });

  test('bytes stuffed behind the request in plain text are refused', async () => {
    const client = await WireClient.open({ port: proxy.port });
    client.send(
      Buffer.concat([
        int32(8),
        int32(80877103),
        frame('', int32(196608), 'user', 'postgres', Buffer.from([0])),
      ]),
    );
    expect(sqlStates(await client.closed())).toEqual(['08P01']);
  });

  test('a handshake that fails ends that connection only', async () => {
    const client = await WireClient.open({ port: proxy.port });
    client.send(Buffer.concat([int32(8), int32(80877103)]));
    expect(await client.nextByte()).toBe('S');
    client.send(Buffer.from('this is no handshake'));
    await client.closed();
    expect(await attempt(proxy.port, { password: 'secret' })).toBe(1);
  });
});

describe('clients that are no clients', () => {
  test.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
    ['a length of 4', int32(4)],
    ['a length of 7', Buffer.concat([int32(7), Buffer.alloc(3)])],
    ['a length of 100,000', Buffer.concat([int32(100_000), int32(196608)])],
    ['a negative length', int32(-1)],
    ['noise', Buffer.from('\xde\xad\xbe\xef\0\0\0\0', 'latin1')],
  ])('%s: closed in silence', async (_, bytes) => {
    const client = await WireClient.open({ port: proxy.port });
    client.send(bytes);
    expect(await client.closed()).toEqual([]);
  });

  test('that send nothing, or half a message, are closed when the login time is over', async () => {
    const silent = await WireClient.open({ port: proxy.port });
    const half = await WireClient.open({ port: proxy.port });
    half.send(Buffer.from([0, 0, 0]));
    const started = await WireClient.open({ port: proxy.port });
    started.startup({ port: proxy.port, database: DATABASE });
    await Promise.all([silent.closed(3000), half.closed(3000), started.closed(3000)]);
  });

  test('an old protocol and a newer one are answered as by Postgres', async () => {
    const versions = [
      { version: 4 << 16, types: 'E' },
      { version: (3 << 16) | 9999, types: 'v' },
    ];
    for (const { version, types } of versions) {
      const client = await WireClient.open({ port: proxy.port });
      client.send(
        frame('', int32(version), 'user', 'postgres', 'database', DATABASE, Buffer.from([0])),
      );
      expect((await client.next()).type).toBe(types);
      client.destroy();
    }
  });

  test('no user name is 28000, a startup message byte by byte is fine', async () => {
    const nameless = await WireClient.open({ port: proxy.port });
    nameless.send(frame('', int32(196608), 'database', DATABASE, Buffer.from([0])));
    expect(sqlStates(await nameless.closed())).toEqual(['28000']);
    const slow = await WireClient.open({ port: proxy.port });
    for (const byte of frame(
      '',
      int32(196608),
      'user',
      'postgres',
      'database',
      DATABASE,
      Buffer.from([0]),
    )) {
      slow.send(Buffer.from([byte]));
      await sleep(1);
    }
    expect((await slow.next()).type).toBe('R');
    slow.destroy();
  });
});

test('more clients than max_clients are told so, and come in when others have left', async () => {
  const url = `postgres://postgres:secret@127.0.0.1:${proxy.port}/${DATABASE}`;
  await expect.poll(async () => (await clients(proxy)) === 0, { timeout: 3000 }).toBe(true);
  const many = await Promise.all(Array.from({ length: 8 }, () => connectPg(url)));
  expect(await attempt(proxy.port, { password: 'secret' })).toMatch(/^53300/);
  await many.pop()!.end();
  await expect.poll(() => attempt(proxy.port, { password: 'secret' }), { timeout: 3000 }).toBe(1);
  await Promise.all(many.map((client) => client.end()));
});

async function clients(of: Proxy): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${of.httpPort}/metrics`)).text();
  return Number(/^shardgate_clients\w*(?:\{[^}]*\})? (\d+)$/m.exec(text)?.[1] ?? 0);
}

describe('other ways to log in', () => {
  let trusting: Proxy;
  beforeAll(async () => {
    trusting = await start({});
  });
  afterAll(async () => {
    await trusting.stop();
  });

  test('trust knows its users', async () => {
    expect(await attempt(trusting.port, {})).toBe(1);
    expect(await attempt(trusting.port, { user: 'stranger' })).toBe(
      '28000 role "stranger" does not exist',
    );
    expect(await attempt(trusting.port, { database: 'elsewhere' })).toMatch(/^3D000/);
  });

  test('md5 checks the password', async () => {
    const md5 = await start({
      auth: { method: 'md5', users: [{ name: 'postgres', password: 'secret' }] },
      listen: {
        tls: { mode: 'require', cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') },
      },
    });
    const ssl = { rejectUnauthorized: false };
    expect(await attempt(md5.port, { password: 'secret', ssl })).toBe(1);
    expect(await attempt(md5.port, { password: 'wrong', ssl })).toMatch(/^28P01/);
    expect(await attempt(md5.port, { user: 'stranger', password: 'secret', ssl })).toMatch(
      /^28P01/,
    );
    // And nobody comes in without encryption.
    expect(await attempt(md5.port, { password: 'secret' })).toMatch(/^28000 .*encrypted/);
    await md5.stop();
  });

  test('settings of the startup message apply, or refuse the login as Postgres does', async () => {
    const login = async (parameters: Record<string, string>): Promise<WireMessage[]> => {
      const client = await WireClient.open({ port: trusting.port });
      client.startup({ port: trusting.port, database: DATABASE, parameters });
      const messages: WireMessage[] = [];
      for (;;) {
        const message = await client.next();
        messages.push(message);
        if (message.type === 'Z' || message.type === 'E') break;
      }
      client.destroy();
      return messages;
    };
    const ok = await login({
      options: '-c work_mem=3MB --TimeZone=Asia/Tokyo',
      DateStyle: 'German',
    });
    const values = ok.filter(({ type }) => type === 'S').map((message) => texts(message).join('='));
    expect(values).toContain('TimeZone=Asia/Tokyo');
    expect(values).toContain('DateStyle=German, DMY');
    for (const [parameters, state] of [
      [{ nonsense: '1' }, '42704'],
      [{ options: '-c nonsense=1' }, '42704'],
      [{ work_mem: 'much' }, '22023'],
      [{ client_encoding: 'latin1' }, '0A000'],
      [{ options: '-c=' }, '42704'],
      [{ options: '-x' }, '42601'],
    ] as const) {
      const error = (await login(parameters)).at(-1)!;
      expect(errorFields(error)['C'], JSON.stringify(parameters)).toBe(state);
      expect(errorFields(error)['S']).toBe('FATAL');
    }
  });

  describe('a cancel request', () => {
    const login = async (): Promise<{ client: WireClient; key: Buffer }> => {
      const client = await WireClient.open({ port: trusting.port });
      client.startup({ port: trusting.port, database: DATABASE });
      const key = (await client.until('Z')).find(({ type }) => type === 'K')!.body;
      return { client, key };
    };
    const cancel = (key: Buffer): Promise<void> =>
      new Promise((resolve) => {
        const socket = connectTcp(trusting.port, '127.0.0.1', () => {
          socket.write(Buffer.concat([int32(8 + key.length), int32(80877102), key]));
        });
        socket.once('close', () => resolve()).resume();
      });

    test.each([
      ['one shard', 'SELECT pg_sleep(20)'],
      ['a read in a transaction', 'BEGIN; SELECT pg_sleep(20) FROM items WHERE id = 1'],
    ])('ends a query on %s, and the session lives', async (_, sql) => {
      const { client, key } = await login();
      client.query('CREATE TABLE IF NOT EXISTS items (id int8 PRIMARY KEY, name text)');
      await client.until('Z');
      client.query(
        "INSERT INTO items VALUES (1, ''), (2, ''), (3, ''), (4, '') ON CONFLICT DO NOTHING",
      );
      await client.until('Z');
      client.query(sql);
      await sleep(150);
      await cancel(key);
      expect(sqlStates(await client.until('Z'))).toEqual(['57014']);
      client.query('ROLLBACK; SELECT 1');
      expect(typesOf(await client.until('Z'))).toContain('D');
      client.terminate();
    });

    test('ends a query that waits on every shard', async () => {
      const shards = (['s0', 's1', 's2', 's3'] as const).map((name) => databases.urls[name]);
      const holders = await Promise.all(shards.map((url) => connectPg(url)));
      for (const holder of holders) await holder.query('BEGIN; LOCK TABLE items');
      const { client, key } = await login();
      client.query('SELECT id FROM items');
      await sleep(150);
      await cancel(key);
      expect(sqlStates(await client.until('Z'))).toEqual(['57014']);
      for (const holder of holders) await holder.end();
      client.query('SELECT id FROM items');
      expect(sqlStates(await client.until('Z'))).toEqual([]);
      client.terminate();
    });

    test('with a wrong key, or while nothing runs, does nothing', async () => {
      const { client, key } = await login();
      const wrong = Buffer.from(key);
      wrong[key.length - 1]! ^= 1;
      client.query('SELECT pg_sleep(0.4)');
      await cancel(wrong);
      expect(typesOf(await client.until('Z'))).toBe('TDCZ');
      await cancel(key);
      client.query('SELECT 1');
      expect(typesOf(await client.until('Z'))).toBe('TDCZ');
      client.terminate();
    });
  });
});
