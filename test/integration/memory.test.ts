/*
 * Goal: memory that does not grow with the size of answers, nor much with the number of clients. A short version always
 * runs; SHARDGATE_LONG_TESTS=1 takes the promised sizes: 1 GB through one connection within 150 MB of resident memory,
 * also to a client that reads slowly, and 2,000 idle clients for less than 100 MB more.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { residentMb, watchMemory } from '../support/chaos-watch.js';
import { startupPacket } from '../support/chaos-sessions.js';
import { openScene, type Scene } from '../support/scene.js';
import { WireClient } from '../support/wire-client.js';
import { frame } from '../support/wire-messages.js';
import { sqlStates } from '../support/wire-pair.js';

const LONG = process.env['SHARDGATE_LONG_TESTS'] === '1';
const STREAM_MB = LONG ? 1024 : 50;
const IDLE_CLIENTS = LONG ? 2000 : 200;

const STREAM_PEAK_MB_MAX = 150;
/** 100 MB for 2,000 clients, and what a garbage collector may leave lying about in the short version. */
const IDLE_GROWTH_MB_MAX = LONG ? 100 : 25;

const KEYS = 64;
const ROW_BYTES = 8192;
const MINUTES_MS = 60_000;

let scene: Scene;

beforeAll(async () => {
  scene = await openScene(
    'memory',
    { shop: { seeds: { shard_key: 'id', vindex: 'by_key' } } },
    ['CREATE TABLE seeds (id int PRIMARY KEY)'],
    { log: { level: 'warn' } },
  );
  const client = await login();
  for (let id = 0; id < KEYS; id++) {
    client.query(`INSERT INTO seeds VALUES (${id})`);
    expect(sqlStates(await client.until('Z'))).toEqual([]);
  }
  client.terminate();
});
afterAll(async () => {
  await scene.close();
});

function login(): Promise<WireClient> {
  return WireClient.login({ port: scene.proxy.port, database: scene.databases.name });
}

describe(`${STREAM_MB} MB through one connection`, () => {
  const rows = Math.ceil((STREAM_MB * 2 ** 20) / ROW_BYTES);
  const oneShard = `SELECT repeat('x', ${ROW_BYTES}) FROM generate_series(1, ${rows})`;
  const perKey = Math.ceil(rows / KEYS);
  const scattered = `COPY (SELECT repeat('x', ${ROW_BYTES}) FROM seeds, generate_series(1, ${perKey}))
    TO STDOUT`;
  const scatteredRows = `SELECT id, repeat('x', ${ROW_BYTES * perKey}) FROM seeds`;

  test.each([
    ['of one shard', oneShard, 0],
    ['of all shards', scatteredRows, 0],
    ['of all shards by COPY', scattered, 0],
    ['of one shard to a slow reader', oneShard, 5],
    ['of all shards to a slow reader', scatteredRows, 5],
  ])(
    '%s stays within 150 MB',
    async (_what, sql, pauseMs) => {
      const memory = watchMemory(scene.proxy);
      const bytes = await drain(sql, pauseMs);
      const peak = await memory.stop();
      expect(bytes).toBeGreaterThan(STREAM_MB * 2 ** 20);
      expect(peak).toBeLessThan(STREAM_PEAK_MB_MAX);
    },
    5 * MINUTES_MS,
  );
});

test(
  `${IDLE_CLIENTS} idle clients cost less than ${IDLE_GROWTH_MB_MAX} MB`,
  async () => {
    const before = await residentMb(scene.proxy);
    const clients: WireClient[] = [];
    while (clients.length < IDLE_CLIENTS) {
      clients.push(...(await Promise.all(Array.from({ length: 50 }, login))));
    }
    // Each has been of use once.
    for (const client of clients) {
      client.query('SELECT 1');
      await client.until('Z');
    }
    const growth = (await residentMb(scene.proxy)) - before;
    for (const client of clients) client.terminate();
    expect(growth).toBeLessThan(IDLE_GROWTH_MB_MAX);
  },
  5 * MINUTES_MS,
);

/**
 * Runs a statement and throws its answer away; tells how many bytes it had.
 * @param pauseMs how long to stop reading after every megabyte or so
 */
function drain(sql: string, pauseMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(scene.proxy.port, '127.0.0.1');
    let bytes = 0;
    let sincePause = 0;
    // The answer's own end: ReadyForQuery, outside a transaction, behind CommandComplete.
    const end = Buffer.from('Z\0\0\0\x05I', 'latin1');
    let asked = false;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      sincePause += chunk.length;
      if (chunk.subarray(-end.length).equals(end)) {
        if (asked) {
          socket.end(frame('X'));
          resolve(bytes);
        } else {
          asked = true;
          socket.write(frame('Q', sql));
        }
      } else if (pauseMs > 0 && sincePause > 2 ** 20) {
        sincePause = 0;
        socket.pause();
        void sleep(pauseMs).then(() => socket.resume());
      }
    });
    socket.once('error', reject);
    socket.once('close', () => {
      reject(new Error(`the answer broke off after ${bytes} bytes`));
    });
    socket.write(startupPacket(scene.databases.name));
  });
}
