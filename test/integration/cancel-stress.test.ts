/*
 * Goal: a cancel ends what its client runs, in whatever way over however many shards, and hits nothing else: not the
 * client's next statement, nor that of the next client of the same backend. Method: clients that cancel, or vanish, at
 * random moments of statements of every kind, beside others that must not notice. SHARDGATE_FUZZ_SECONDS looks longer;
 * SHARDGATE_FUZZ_SEED repeats a run as far as it is made of choices.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Dice } from '../support/chaos-random.js';
import { untilAtRest, type ShardQuery } from '../support/chaos-watch.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import { shardNames } from '../support/servers.js';
import { WireClient } from '../support/wire-client.js';
import { int32, rowTexts, type WireMessage } from '../support/wire-messages.js';
import { sqlStates } from '../support/wire-pair.js';

const SECONDS = Number(process.env['SHARDGATE_FUZZ_SECONDS'] ?? 5);
const SEED = Number(process.env['SHARDGATE_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
const KEYS = 40;
const CANCELLERS = 6;
const BYSTANDERS = 2;
const ANSWER_MS = 8000;
/** Rows that a shard looks at for some seconds. */
const MANY = 30_000_000;

let scene: Scene;
let servers: Record<string, ShardQuery>;

beforeAll(async () => {
  const rows = Array.from({ length: KEYS }, (_, id) => `(${id}, ${id % 7}, 'item ${id}')`).join();
  const sharded = { shard_key: 'id', vindex: 'by_key' };
  scene = await openScene(
    'cancel_stress',
    { main: { lone: {} }, shop: { items: sharded, taken: sharded } },
    [
      'CREATE TABLE items (id int PRIMARY KEY, n int, v text)',
      'CREATE TABLE taken (id int, n int, v text)',
      'CREATE TABLE lone (id int PRIMARY KEY, n int, v text)',
      `INSERT INTO items VALUES ${rows}`,
      `INSERT INTO lone VALUES ${rows}`,
    ],
    { pool: { size: 5, queue_timeout: '30s' }, log: { level: 'warn' } },
  );
  const { databases } = scene;
  servers = Object.fromEntries(
    shardNames.map((name): [string, ShardQuery] => [name, (sql) => databases.query(name, sql)]),
  );
});
afterAll(async () => {
  await scene.close();
});

interface Client {
  readonly wire: WireClient;
  readonly key: Buffer;
}

async function login(): Promise<Client> {
  const wire = await WireClient.open({ port: scene.proxy.port });
  wire.startup({ port: scene.proxy.port, database: scene.databases.name });
  const key = (await wire.until('Z', ANSWER_MS)).find(({ type }) => type === 'K')!.body;
  return { wire, key };
}

/** Resolves when the proxy has closed the connection of the request. */
function cancel({ key }: Client): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(scene.proxy.port, '127.0.0.1', () => {
      socket.write(Buffer.concat([int32(8 + key.length), int32(80877102), key]));
    });
    socket.on('error', () => undefined);
    socket.once('close', () => resolve()).resume();
  });
}

const long = `generate_series(1, ${MANY}) AS g WHERE g = -1`;
/** Statements that take seconds, by the way they take. */
const endless: Readonly<Record<string, string>> = {
  'one shard': 'SELECT pg_sleep(20) FROM items WHERE id = 1',
  scatter: `SELECT id FROM items, ${long}`,
  'scatter of rows': `SELECT g FROM items, generate_series(1, ${MANY}) AS g`,
  merge: `SELECT id FROM items, ${long} ORDER BY id`,
  'merge of rows': `SELECT g FROM items, generate_series(1, ${MANY}) AS g ORDER BY id LIMIT 9000000`,
  aggregate: `SELECT count(*), max(g) FROM items, ${long}`,
  gather: `SELECT a.n, count(*) FROM items a JOIN lone b USING (n), ${long} GROUP BY a.n`,
  distribute: `INSERT INTO taken SELECT n + 100, g, v FROM lone, ${long}`,
  update: `UPDATE items SET v = v FROM ${long}`,
  copy: `COPY (SELECT g FROM items, generate_series(1, ${MANY}) AS g) TO STDOUT`,
  'in a transaction': `BEGIN; SELECT id FROM items; SELECT id FROM items, ${long}`,
};
/** Statements that end soon, while a cancel is on its way. */
const short = [
  'SELECT v FROM items WHERE id = 3',
  'SELECT id FROM items',
  'SELECT id, v FROM items ORDER BY id',
  'SELECT id, v FROM items ORDER BY v DESC LIMIT 3',
  'SELECT count(*), max(v) FROM items',
  'SELECT count(*) FROM items a JOIN lone b USING (n)',
  'UPDATE items SET n = n',
  'INSERT INTO taken SELECT n, id, v FROM lone',
  'BEGIN; UPDATE items SET n = n; SELECT id FROM items; COMMIT',
  'COPY items TO STDOUT',
];

describe('a cancel ends', () => {
  test.each(Object.keys(endless))('%s', async (name) => {
    const client = await login();
    client.wire.query(endless[name]!);
    await sleep(150);
    const start = performance.now();
    await cancel(client);
    expect(sqlStates(await client.wire.until('Z', ANSWER_MS))).toEqual(['57014']);
    expect(performance.now() - start).toBeLessThan(3000);
    await aftermath(client);
    client.wire.terminate();
    await untilAtRest(scene.proxy, servers, ANSWER_MS);
  });

  test('a wait for a lock on several shards, and one for a backend', async () => {
    const holders = await Promise.all(
      (['s0', 's1', 's2', 's3'] as const).map((name) => connectPg(scene.databases.urls[name])),
    );
    for (const holder of holders) await holder.query('BEGIN; LOCK TABLE items');
    // More than the pool has backends for: the last ones wait in the queue.
    const clients = await Promise.all(Array.from({ length: 8 }, login));
    for (const { wire } of clients) wire.query('UPDATE items SET n = n');
    await sleep(200);
    for (const client of clients.reverse()) await cancel(client);
    for (const { wire } of clients) {
      expect(sqlStates(await wire.until('Z', ANSWER_MS))).toEqual(['57014']);
    }
    for (const holder of holders) await holder.end();
    for (const client of clients) {
      await aftermath(client);
      client.wire.terminate();
    }
  });

  test('a COPY FROM STDIN, which looks for it at its next row, as on one PostgreSQL', async () => {
    const client = await login();
    client.wire.query('COPY taken FROM STDIN');
    await client.wire.until('G');
    const rows = Array.from({ length: 200 }, (_, i) => `${i}\t1\tx\n`).join('');
    client.wire.copyData(rows);
    await sleep(50);
    await cancel(client);
    client.wire.copyData(rows);
    expect(sqlStates(await client.wire.until('Z', ANSWER_MS))).toEqual(['57014']);
    client.wire.copyData(rows);
    client.wire.copyDone();
    await aftermath(client);
    client.wire.query('SELECT count(*) FROM taken');
    const messages = await client.wire.until('Z', ANSWER_MS);
    expect(rowsOf(messages)).toEqual([['0']]);
    client.wire.terminate();
  });
});

/** What a client does behind a cancelled statement is not cancelled. */
async function aftermath({ wire }: Client, id = 5): Promise<void> {
  wire.query('ROLLBACK');
  expect(sqlStates(await wire.until('Z', ANSWER_MS))).toEqual([]);
  await quick(wire, id);
}

async function quick(wire: WireClient, id: number): Promise<void> {
  wire.query(`SELECT v FROM items WHERE id = ${id}; SELECT count(*) FROM items`);
  const messages = await wire.until('Z', ANSWER_MS);
  expect(sqlStates(messages)).toEqual([]);
  expect(rowsOf(messages)).toEqual([[`item ${id}`], [String(KEYS)]]);
}

function rowsOf(messages: readonly WireMessage[]): (string | null)[][] {
  return messages.filter(({ type }) => type === 'D').map(rowTexts);
}

test(
  `cancels at any moment hit what they are meant for only, for ${SECONDS} s (seed ${SEED})`,
  async () => {
    console.log(`cancel stress: SHARDGATE_FUZZ_SEED=${SEED}`);
    const dice = new Dice(SEED);
    const end = Date.now() + SECONDS * 1000;
    const counts = { cancelled: 0, finished: 0, vanished: 0, bystanders: 0 };
    const canceller = async (): Promise<void> => {
      let client = await login();
      while (Date.now() < end) {
        const sql = dice.chance(0.6) ? dice.pick(short) : dice.pick(Object.values(endless));
        client.wire.query(sql);
        await sleep(dice.below(dice.chance(0.5) ? 4 : 60));
        if (dice.chance(0.3)) {
          client.wire.destroy();
          counts.vanished++;
          client = await login();
          continue;
        }
        const cancels = [cancel(client)];
        if (dice.chance(0.3)) cancels.push(cancel(client));
        let answered = client.wire.until('Z', 2000).catch(() => null);
        await Promise.all(cancels);
        let messages = await answered;
        // A cancel that came before its statement did nothing, as on Postgres.
        while (messages === null) {
          answered = client.wire.until('Z', 2000).catch(() => null);
          await cancel(client);
          messages = await answered;
        }
        const states = sqlStates(messages);
        if (states.length === 0) counts.finished++;
        else {
          expect([sql, ...states]).toEqual([sql, '57014']);
          counts.cancelled++;
        }
        await aftermath(client, dice.below(KEYS));
      }
      client.wire.terminate();
    };
    const bystander = async (): Promise<void> => {
      const { wire } = await login();
      while (Date.now() < end) {
        await quick(wire, dice.below(KEYS));
        counts.bystanders++;
      }
      wire.terminate();
    };
    await Promise.all([
      ...Array.from({ length: CANCELLERS }, canceller),
      ...Array.from({ length: BYSTANDERS }, bystander),
    ]);
    await untilAtRest(scene.proxy, servers, ANSWER_MS);
    console.log(`cancel stress: ${JSON.stringify(counts)}`);
    expect(counts.cancelled).toBeGreaterThan(5);
    expect(scene.proxy.logs()).not.toContain('session failed');
  },
  SECONDS * 1000 + 60_000,
);
