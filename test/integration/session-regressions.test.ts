import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { metric } from '../support/chaos-watch.js';
import { bind, execute, parse, query, sync } from '../support/frontend-bytes.js';
import { openScene, type Scene } from '../support/scene.js';
import type { ServerName } from '../support/servers.js';
import { WireClient } from '../support/wire-client.js';
import {
  errorFields,
  frame,
  rowTexts,
  summary,
  type WireMessage,
} from '../support/wire-messages.js';
import { sqlStates, typesOf, WirePair } from '../support/wire-pair.js';

const POOL_SIZE = 2;
const shards = ['s0', 's1', 's2', 's3'] as const;

let scene: Scene;
/** Keys of table `items` by the shard they belong to; a test takes those that it writes. */
const keys = new Map<ServerName, number[]>();
const clients: { destroy(): void }[] = [];
let pair: WirePair;

beforeAll(async () => {
  scene = await openScene(
    'session_regressions',
    { main: { plain: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE items (id int PRIMARY KEY, v text)',
      'CREATE TABLE plain (id int PRIMARY KEY, v text)',
    ],
    { pool: { size: POOL_SIZE, queue_timeout: '1s' } },
  );
  const rows = await scene.databases.query(
    'oracle',
    'SELECT k, ((hashint4extended(k, 0) >> 62) & 3)::int FROM generate_series(1, 400) k',
  );
  for (const [key, index] of rows as [number, number][]) {
    const name = shards[index]!;
    keys.set(name, [...(keys.get(name) ?? []), key]);
  }
});
afterAll(async () => {
  await scene.close();
});
beforeEach(async () => {
  const { proxy, oraclePort, databases } = scene;
  pair = await WirePair.open(proxy.port, oraclePort, { database: databases.name });
});
afterEach(async () => {
  pair.close();
  for (const client of clients.splice(0)) client.destroy();
  await poolsAreIdle();
});

function keyOn(shard: ServerName): number {
  return keys.get(shard)!.shift()!;
}

async function login(parameters: Record<string, string> = {}): Promise<WireClient> {
  const { proxy, databases } = scene;
  const client = await WireClient.login({
    port: proxy.port,
    database: databases.name,
    parameters,
  });
  clients.push(client);
  return client;
}

async function ask(client: WireClient, sql: string): Promise<WireMessage[]> {
  client.query(sql);
  return client.until('Z');
}

/** Parse, Bind and Execute; values as text. */
function run(client: WireClient, sql: string, ...values: (string | number)[]): void {
  client.parse(sql);
  client.bind({ values: values.map(String) });
  client.execute();
}

/** Every backend is back in its pool: nobody holds one that has gone or is idle. */
async function poolsAreIdle(): Promise<void> {
  let active: string[] = [];
  for (let tries = 0; tries < 100; tries++) {
    const text = await (await fetch(`http://127.0.0.1:${scene.proxy.httpPort}/metrics`)).text();
    active = text
      .split('\n')
      .filter((line) => /^shardgate_pool_(active|waiting)\{.* [1-9]/.test(line));
    if (active.length === 0) return;
    await sleep(50);
  }
  expect(active).toEqual([]);
}

/** So many sessions wait for a backend of the shard. */
async function waiting(shard: ServerName, count: number): Promise<void> {
  const gauge = `shardgate_pool_waiting\\{shard="${shard}"[^}]*\\}`;
  await expect
    .poll(() => metric(scene.proxy, gauge), { timeout: 10_000, interval: 10 })
    .toBe(count);
}

/** Clients in transactions that hold every backend of a shard. */
async function holdAll(shard: ServerName): Promise<WireClient[]> {
  const holders: WireClient[] = [];
  for (let i = 0; i < POOL_SIZE; i++) {
    const holder = await login();
    await ask(holder, 'BEGIN');
    await ask(holder, `SELECT v FROM items WHERE id = ${keys.get(shard)!.at(-1)!}`);
    holders.push(holder);
  }
  return holders;
}

/** Cuts the proxy's connections to a server. */
async function cut(server: ServerName): Promise<void> {
  await scene.databases.query(
    server,
    `SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  );
  await sleep(50);
}

const failing =
  'SELECT pg_sleep(0.2), 1 / (x.id - x.id) FROM (SELECT $1::int AS id) x, items i WHERE i.id = $1';

describe('who gets a backend next', () => {
  test('what a client did in a pipeline without Sync is rolled back when it vanishes', async () => {
    const key = keyOn('s0');
    const ghost = await login();
    run(ghost, 'INSERT INTO items VALUES ($1, $2)', key, 'ghost');
    ghost.flush();
    await ghost.until('C');
    ghost.destroy();
    await poolsAreIdle();
    for (let i = 0; i < POOL_SIZE + 1; i++) {
      const answer = await ask(await login(), `UPDATE items SET v = 'x' WHERE id = ${key}`);
      expect(answer.map(summary)).toEqual(['C UPDATE 0\0', 'Z I']);
    }
    expect(await scene.databases.query('s0', `SELECT v FROM items WHERE id = ${key}`)).toEqual([]);
  });

  test('a pipeline that failed without Sync does not make the next client wait', async () => {
    for (let i = 0; i < POOL_SIZE; i++) {
      const client = await login();
      run(
        client,
        'SELECT 1 / ($1::int - $1::int) FROM (VALUES (1)) v WHERE EXISTS (SELECT FROM items WHERE id = $1) OR true',
        keys.get('s0')![0]!,
      );
      client.flush();
      await client.until('E');
      client.destroy();
    }
    await poolsAreIdle();
    for (let i = 0; i < POOL_SIZE + 1; i++) {
      const answer = await ask(
        await login(),
        `SELECT v FROM items WHERE id = ${keys.get('s0')![0]!}`,
      );
      expect(sqlStates(answer)).toEqual([]);
    }
  });

  test('two portals of different shards keep their backends', async () => {
    const [a, b] = [keyOn('s0'), keyOn('s1')];
    await scene.comparison.both(`INSERT INTO items VALUES (${a}, 'a')`);
    await scene.comparison.both(`INSERT INTO items VALUES (${b}, 'b')`);
    await pair.expectSame((client) => {
      client.parse('SELECT id, v FROM items WHERE id = $1', 'q');
      client.bind({ portal: 'pa', statement: 'q', values: [String(a)] });
      client.bind({ portal: 'pb', statement: 'q', values: [String(b)] });
      client.execute('pa');
      client.execute('pb');
      client.sync();
    });
  });

  test('settings of a pipeline stay with their client', async () => {
    await pair.expectSame(
      (client) => {
        run(client, "SELECT set_config('work_mem', '7MB', false)");
        run(client, "SELECT set_config('search_path', 'nowhere', false)");
        client.sync();
        run(client, 'SHOW work_mem');
        client.sync();
      },
      { syncs: 2 },
    );
    for (let i = 0; i < POOL_SIZE + 1; i++) {
      const answer = await ask(await login(), 'SHOW work_mem');
      expect(rowTexts(answer.find(({ type }) => type === 'D')!)).toEqual(['4MB']);
    }
  });

  test('a wait for a backend ends with the pipeline that wanted it', async () => {
    const key = keyOn('s0');
    await scene.databases.query('s0', `INSERT INTO items VALUES (${key}, '')`);
    const holders = await holdAll('s1');
    const client = await login();
    run(client, failing, key);
    run(client, 'SELECT v FROM items WHERE id = $1', keys.get('s1')![0]!);
    client.sync();
    expect(sqlStates(await client.until('Z'))).toEqual(['22012']);
    for (const holder of holders) holder.destroy();
    // The client does nothing, so it must hold nothing.
    await poolsAreIdle();
    expect(sqlStates(await ask(client, `SELECT v FROM items WHERE id = ${key}`))).toEqual([]);
  });

  test('who waits for a backend stands in its line once', async () => {
    const statement = 'SELECT id FROM items WHERE v > $1';
    run(pair.proxy, statement, '');
    pair.proxy.sync();
    await pair.proxy.until('Z');
    const holders = await holdAll('s0');
    const [client, next] = [await login(), await login()];
    client.send(
      Buffer.concat([
        query('SELECT id FROM items'),
        parse(statement),
        // What is broken is told behind the judgement of this value.
        bind({ values: [''] }),
        frame('E', ''),
      ]),
    );
    await waiting('s0', 1);
    next.send(query('BEGIN'), query(`SELECT v FROM items WHERE id = ${keys.get('s0')!.at(-1)!}`));
    await waiting('s0', 2);
    await ask(holders[0]!, 'COMMIT');
    for (const _statement of ['BEGIN', 'SELECT']) await next.until('Z');
    await waiting('s0', 1);
    for (const each of [client, next, ...holders]) each.destroy();
    await poolsAreIdle();
  });

  test('a wait that ran out says so once, to the statement that waited', async () => {
    const holders = await holdAll('s2');
    const client = await login();
    client.query('SELECT id FROM items');
    expect(sqlStates(await client.until('Z'))).toEqual(['53000']);
    for (const holder of holders) holder.destroy();
    expect(await client.silentFor(200)).toBe(true);
    expect(sqlStates(await ask(client, 'SELECT 1'))).toEqual([]);
  });

  /** Every pool is made anew, with another queue timeout. */
  async function reloadPools(): Promise<void> {
    const { configFile } = scene.proxy;
    const applied = (): number => scene.proxy.logs().split('configuration applied').length;
    const count = applied();
    const text = readFileSync(configFile, 'utf8');
    const [, seconds] = /"queue_timeout": "(\d+)s"/.exec(text)!;
    const next = `"queue_timeout": "${Number(seconds) + 1}s"`;
    writeFileSync(configFile, text.replace(/"queue_timeout": "\d+s"/, next));
    for (let tries = 0; applied() === count && tries < 100; tries++) await sleep(50);
    expect(applied()).toBe(count + 1);
  }

  test('reloads of the pool fail nobody, those who wait in its queue included', async () => {
    const key = keyOn('s1');
    await scene.databases.query('s1', `INSERT INTO items VALUES (${key}, '0')`);
    let over = false;
    const work = async (statement: string): Promise<string[]> => {
      const client = await login();
      const states: string[] = [];
      while (!over) states.push(...sqlStates(await ask(client, statement)));
      return states;
    };
    const busy = Array.from({ length: 4 * POOL_SIZE }, (_, i) =>
      work(i % 2 === 0 ? `UPDATE items SET v = v WHERE id = ${key}` : 'SELECT count(*) FROM items'),
    );
    for (let i = 0; i < 3; i++) await reloadPools();
    over = true;
    expect((await Promise.all(busy)).flat()).toEqual([]);
  });

  test('a transaction finds its own writes after a reload of the pool', async () => {
    const key = keyOn('s0');
    const client = await login();
    await ask(client, 'BEGIN');
    await ask(client, `INSERT INTO items VALUES (${key}, 'mine')`);
    await reloadPools();
    const answer = await ask(client, `SELECT v FROM items WHERE id = ${key}`);
    expect(rowTexts(answer.find(({ type }) => type === 'D')!)).toEqual(['mine']);
    expect(sqlStates(await ask(client, 'COMMIT'))).toEqual([]);
    expect(await scene.databases.query('s0', `SELECT v FROM items WHERE id = ${key}`)).toEqual([
      ['mine'],
    ]);
  });
});

describe('pipelines', () => {
  test('SET that a server refuses is an error, and the next statement is answered', async () => {
    await pair.expectSame(
      (client) => {
        run(client, "SET work_mem = 'bogus'");
        client.sync();
        run(client, 'SELECT v FROM items WHERE id = $1', keys.get('s0')![0]!);
        run(client, "SET work_mem = 'bogus'");
        client.sync();
        client.query(
          `SELECT v FROM items WHERE id = ${keys.get('s0')![0]!}; SET work_mem = 'bogus'`,
        );
        client.query('SELECT 1');
      },
      { syncs: 4 },
    );
  });

  test('an error undoes the settings of its implicit transaction, not those committed before', async () => {
    await pair.expectSame(
      (client) => {
        run(client, "SELECT set_config('work_mem', '9MB', false)");
        run(client, 'SELECT 1 / $1::int', 0);
        client.sync();
        client.query('SHOW work_mem');
        run(client, 'BEGIN');
        run(client, "SET work_mem = '8MB'");
        run(client, 'COMMIT');
        run(client, 'SELECT 1 / $1::int', 0);
        client.sync();
        client.query('SHOW work_mem');
      },
      { syncs: 4 },
    );
  });

  test('a Parse that failed leaves its name free', async () => {
    await pair.expectSame(
      (client) => {
        client.parse('SELECT nothing FROM items WHERE id = $1', 'name');
        client.sync();
        client.parse('SELECT v FROM items WHERE id = $1', 'name');
        client.sync();
        client.parse('SELECT v FROM items WHERE id = $1', 'name');
        client.sync();
        client.closeNamed('S', 'name');
        client.sync();
      },
      { syncs: 4 },
    );
  });

  test('the unnamed statement is parsed again behind a BEGIN that has just been sent', async () => {
    const key = keys.get('s0')![0]!;
    const client = await login();
    for (const begin of [false, false, true]) {
      if (begin) await ask(client, 'BEGIN');
      run(client, 'SELECT v FROM items WHERE id = $1', key);
      client.sync();
      expect(sqlStates(await client.until('Z'))).toEqual([]);
    }
  });

  test('portals end with the COMMIT in the middle of a pipeline', async () => {
    await pair.expectSame(
      (client) => {
        client.query('BEGIN');
        client.parse('SELECT id FROM items WHERE id = $1');
        client.bind({ portal: 'p', values: [String(keys.get('s0')![0]!)] });
        client.execute('p');
        run(client, 'COMMIT');
        client.execute('p');
        client.sync();
      },
      { syncs: 2 },
    );
  });

  test('a query behind something that was executed without Sync is refused, and all of it undone', async () => {
    const key = keyOn('s0');
    const client = await login();
    run(client, 'INSERT INTO items VALUES ($1, $2)', key, '');
    client.query(`SELECT v FROM items WHERE id = ${keys.get('s1')![0]!}`);
    const answer = await client.until('Z');
    expect(typesOf(answer)).toBe('12CEZ');
    expect(sqlStates(answer)).toEqual(['0A000']);
    await poolsAreIdle();
    expect(await scene.databases.query('s0', `SELECT v FROM items WHERE id = ${key}`)).toEqual([]);
  });

  test('a query may follow what was only parsed and described, or a pipeline of its transaction', async () => {
    await pair.expectSame(
      (client) => {
        client.parse('SELECT v FROM items WHERE id = $1', 'described');
        client.describe('S', 'described');
        client.query('SELECT 1');
        client.sync();
        client.query('BEGIN');
        run(client, 'SELECT v FROM items WHERE id = $1', keys.get('s0')![0]!);
        client.query('SELECT count(*) FROM items WHERE id < 0');
        client.query('ROLLBACK');
        client.sync();
      },
      { syncs: 6 },
    );
  });

  test('an error behind a Parse of our own reaches the client', async () => {
    const client = await login();
    await ask(client, 'CREATE TABLE gone (id int)');
    client.parse('SELECT id FROM gone', 'g');
    client.sync();
    await client.until('Z');
    await scene.databases.query('main', 'DROP TABLE gone');
    // A new backend does not know the statement.
    await cut('main');
    client.bind({ statement: 'g' });
    client.execute();
    client.sync();
    expect(sqlStates(await client.until('Z'))).toEqual(['42P01']);
    await scene.databases.onEach(shards, 'DROP TABLE gone');
  });

  test('a lost backend fails the pipeline that had executed something there', async () => {
    const key = keyOn('s0');
    const client = await login();
    run(client, 'INSERT INTO items VALUES ($1, $2)', key, '');
    client.flush();
    await client.until('C');
    await cut('s0');
    expect(await client.silentFor(200)).toBe(true);
    run(client, 'SELECT v FROM items WHERE id = $1', keys.get('s1')![0]!);
    client.sync();
    const answer = await client.until('Z');
    expect(typesOf(answer)).toBe('EZ');
    expect(errorFields(answer[0]!)['C']).toBe('08006');
  });
});

describe('transactions', () => {
  test('SET LOCAL as the first statement is answered, and so is its error', async () => {
    await pair.expectSame(
      (client) => {
        for (const sql of ['BEGIN', "SET LOCAL work_mem = '1MB'", 'SHOW work_mem', 'COMMIT']) {
          client.query(sql);
        }
        for (const sql of ['BEGIN', "SET LOCAL work_mem = 'bogus'", 'COMMIT']) client.query(sql);
      },
      { syncs: 7 },
    );
  });

  test('a local set_config is known on shards that join later', async () => {
    const key = keyOn('s3');
    await pair.expectSame(
      (client) => {
        client.query('BEGIN');
        client.query("SELECT set_config('app.tenant', '5', true)");
        client.query(
          `INSERT INTO items VALUES (${key}, current_setting('app.tenant', true)) RETURNING v`,
        );
        client.query('ROLLBACK');
      },
      { syncs: 4 },
    );
  });

  test('the cancelling of one statement never hits the next', async () => {
    const present = await Promise.all(
      shards.map(async (shard) => {
        const key = keyOn(shard);
        await scene.databases.query(shard, `INSERT INTO items VALUES (${key}, '')`);
        return key;
      }),
    );
    const client = await login();
    await ask(client, 'BEGIN');
    await ask(client, 'SAVEPOINT s');
    const states = new Set<string>();
    for (let i = 0; i < 200; i++) {
      // One shard fails, so the others are cancelled.
      client.query(`SELECT 1 / (id - ${present[i % present.length]!}) FROM items`);
      client.query('ROLLBACK TO s');
      client.query('SELECT id FROM items');
      const answers = [await client.until('Z'), await client.until('Z'), await client.until('Z')];
      states.add(answers.map((answer) => sqlStates(answer).join()).join(' '));
    }
    expect([...states]).toEqual(['22012  ']);
    await ask(client, 'ROLLBACK');
  });

  test('set_config reaches every shard of the transaction, and those that join it', async () => {
    const seen = (shard: ServerName): string =>
      `SELECT current_setting('app.tenant', true) FROM items WHERE id = ${keys.get(shard)![0]!}`;
    const asked = [
      'BEGIN',
      seen('s0'),
      seen('s1'),
      "SELECT set_config('app.tenant', '5', true), set_config('app.user', 'u', false)",
      seen('s0'),
      seen('s1'),
      seen('s2'),
      'COMMIT',
      `SELECT current_setting('app.tenant', true), current_setting('app.user')`,
    ];
    for (const sql of asked) {
      await pair.expectSame((client) => client.query(sql));
    }
  });
});

describe('slow shards', () => {
  /** A row that nobody sees yet: whoever inserts its key waits. */
  async function lockKey(id: number): Promise<pg.Client> {
    const locker = new pg.Client({ connectionString: scene.databases.urls.main });
    await locker.connect();
    await locker.query('BEGIN');
    await locker.query('INSERT INTO plain VALUES ($1, $2)', [id, '']);
    return locker;
  }

  /** 12 MB of rows in frames of many sizes, which lie across the reads of the proxy. */
  async function sendRows(client: WireClient, count: number): Promise<void> {
    for (let i = 1; i <= count; i++) {
      client.copyData(
        `${i}\t${String(i)
          .padStart(6, '0')
          .repeat(400 + (i % 500))}\n`,
      );
      if (i % 100 === 0) await sleep(2);
    }
  }

  test('copy data that waits for a backend arrives as it was sent', async () => {
    const locker = await lockKey(1);
    const client = await login();
    client.query('COPY plain FROM STDIN');
    await client.until('G');
    await sendRows(client, 3000);
    client.copyDone();
    await sleep(300);
    await locker.query('ROLLBACK');
    await locker.end();
    expect(sqlStates(await client.until('Z', 20_000))).toEqual([]);
    const good = `count(*) FILTER (WHERE v = repeat(lpad(id::text, 6, '0'), 400 + id % 500))::int`;
    const rows = await scene.databases.query('main', `SELECT count(*)::int, ${good} FROM plain`);
    expect(rows).toEqual([[3000, 3000]]);
    await scene.databases.query('main', 'TRUNCATE plain');
  });

  test('a COPY that fails in the middle of a message leaves the backend usable', async () => {
    const locker = await lockKey(1);
    const client = await login();
    client.query('COPY plain FROM STDIN');
    await client.until('G');
    await sendRows(client, 3000);
    client.copyDone();
    await sleep(300);
    await locker.query('COMMIT');
    await locker.end();
    expect(sqlStates(await client.until('Z', 20_000))).toEqual(['23505']);
    for (let i = 0; i < POOL_SIZE + 1; i++) {
      const answer = await ask(await login(), 'SELECT count(*) FROM plain');
      expect(rowTexts(answer.find(({ type }) => type === 'D')!)).toEqual(['1']);
    }
    expect(sqlStates(await ask(client, 'SELECT 1'))).toEqual([]);
    await scene.databases.query('main', 'TRUNCATE plain');
  });

  test('a shard lost while it takes no copy data is an error, and the session goes on', async () => {
    const locker = await lockKey(1);
    const client = await login();
    client.query('COPY plain FROM STDIN');
    await client.until('G');
    await sendRows(client, 3000);
    await scene.databases.query(
      'main',
      `SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE query LIKE 'COPY plain%'`,
    );
    expect(sqlStates(await client.until('Z', 20_000))).toEqual(['08006']);
    client.copyDone();
    expect(sqlStates(await ask(client, 'SELECT 1'))).toEqual([]);
    await locker.end();
  });

  test('a client that vanishes in the middle of copy data holds its backend no longer', async () => {
    const client = await login();
    client.query('COPY plain FROM STDIN');
    await client.until('G');
    client.send(frame('d', Buffer.alloc(300_000, 'x')).subarray(0, 200_000));
    await sleep(100);
    client.destroy();
    const began = performance.now();
    await poolsAreIdle();
    expect(performance.now() - began).toBeLessThan(2000);
  });
});

test('a Query in a pipeline that has run commands of the session only is refused, too', async () => {
  const { proxy, databases } = scene;
  const client = await WireClient.login({ port: proxy.port, database: databases.name });
  clients.push(client);
  for (const command of ['SET work_mem = 5000', 'SET CONSTRAINTS ALL IMMEDIATE']) {
    client.send(Buffer.concat([parse(command), bind(), execute(), query('SELECT 1'), sync()]));
    expect(sqlStates(await client.until('Z')).at(-1)).toBe('0A000');
    expect(sqlStates(await client.until('Z'))).toEqual([]);
  }
});

test('a portal ends where a Query in its pipeline is refused, and its backend is not touched again', async () => {
  const { proxy, databases } = scene;
  const client = await WireClient.login({ port: proxy.port, database: databases.name });
  clients.push(client);
  const key = keyOn('s0');
  client.send(
    Buffer.concat([
      parse(`SELECT v FROM items WHERE id = ${key}`),
      bind(),
      query('SELECT 1'),
      execute(),
      sync(),
    ]),
  );
  expect(sqlStates(await client.until('Z'))).toEqual(['0A000']);
  expect(sqlStates(await client.until('Z'))).toEqual(['34000']);
  // Whoever gets the backend next is answered.
  for (let turn = 0; turn < 2 * POOL_SIZE; turn++) {
    client.query(`SELECT v FROM items WHERE id = ${key}`);
    expect(sqlStates(await client.until('Z'))).toEqual([]);
  }
});
