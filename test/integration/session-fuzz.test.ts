/*
 * Goal: no bytes of a client can harm the proxy or anybody else's session. Method: valid sessions with things wrong
 * (bytes flipped, messages cut, doubled, moved, lengths falsified, noise) or with an end in the middle, many at a time,
 * through a proxy with small limits over real servers. After every batch others must be answered correctly within two
 * seconds, and soon nothing may be left of the batch: no leased backend, no transaction, no running statement.
 * SHARDGATE_FUZZ_SECONDS looks longer; a failure names its seed, SHARDGATE_FUZZ_SEED repeats from there.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mutatedSession, showSession, type MutatedSession } from '../support/chaos-mutations.js';
import { Dice } from '../support/chaos-random.js';
import { replay } from '../support/chaos-replay.js';
import { byteSessionSchema } from '../support/chaos-sessions.js';
import { metric, residentMb, untilAtRest, type ShardQuery } from '../support/chaos-watch.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import { shardNames } from '../support/servers.js';
import { WireClient } from '../support/wire-client.js';
import { frame, rowTexts, type WireMessage } from '../support/wire-messages.js';

const SECONDS = Number(process.env['SHARDGATE_FUZZ_SECONDS'] ?? 6);
const SEED = Number(process.env['SHARDGATE_FUZZ_SEED'] ?? Date.now() % 2 ** 31);

const BATCH = 12;
const PROBE_MS = 2000;
const AT_REST_MS = 8000;
const PROBE_KEYS = 40;
/** Buffers, plans and the garbage of a batch; growth without bound passes this within a long run. */
const GROWTH_MB_MAX = 120;

let scene: Scene;
let servers: Record<string, ShardQuery>;

beforeAll(async () => {
  const sharded = { shard_key: 'id', vindex: 'by_key' };
  scene = await openScene(
    'session_fuzz',
    { main: { fuzz_settings: {} }, shop: { probe: sharded, fuzzed: sharded } },
    byteSessionSchema,
    {
      pool: { size: 4, queue_timeout: '2s', prepared_statements: 4 },
      limits: {
        max_clients: 40,
        login_timeout: '500ms',
        message_size: '16KB',
        prepared_statements: 5,
      },
      // How long a statement in front of a goodbye may go on.
      drain_timeout: '500ms',
      log: { level: 'warn' },
    },
  );
  const client = await connectPg(scene.proxy.url);
  for (let id = 0; id < PROBE_KEYS; id++) {
    await client.query('INSERT INTO probe VALUES ($1, $2)', [id, `probe ${id}`]);
    await client.query('INSERT INTO fuzzed VALUES ($1, $2)', [id, `fuzzed ${id}`]);
  }
  await client.end();
  const { databases } = scene;
  servers = Object.fromEntries(
    shardNames.map((name): [string, ShardQuery] => [name, (sql) => databases.query(name, sql)]),
  );
});
afterAll(async () => {
  await scene.close();
});

test(
  `sessions broken in every way for ${SECONDS} s harm nobody (seed ${SEED})`,
  async () => {
    console.log(`session fuzzer: SHARDGATE_FUZZ_SEED=${SEED}`);
    const standing = await login();
    const connected = await metric(scene.proxy, 'shardgate_clients_connected');
    const end = Date.now() + SECONDS * 1000;
    let memoryAtFirst = 0;
    let batches = 0;
    for (let seed = SEED; Date.now() < end || batches < 3; seed++, batches++) {
      const dice = new Dice(seed);
      const sessions = Array.from({ length: BATCH }, () =>
        mutatedSession(scene.databases.name, dice),
      );
      try {
        await runBatch(sessions, standing, connected, dice);
        if (batches === 2) memoryAtFirst = await residentMb(scene.proxy);
      } catch (error) {
        throw failure(seed, sessions, error, await lentBackends());
      }
    }
    expect(await residentMb(scene.proxy)).toBeLessThan(memoryAtFirst + GROWTH_MB_MAX);
    standing.terminate();
    console.log(`session fuzzer: ${batches} batches of ${BATCH} sessions`);
  },
  SECONDS * 1000 + 60_000,
);

test('who vanishes with messages waiting behind a running statement leaves nothing running', async () => {
  const [first, second] = [frame('Q', 'SELECT pg_sleep(40)'), frame('Q', 'SELECT 1')];
  const sends: ((client: WireClient) => Promise<void>)[] = [
    (client) => Promise.resolve(client.send(first, second)),
    async (client) => {
      client.send(first);
      await sleep(30);
      client.send(second);
      await sleep(30);
      client.send(second.subarray(0, 7));
    },
    // More shards than the pool has room for: this one waits in the queue when it goes.
    (client) => Promise.resolve(client.send(frame('Q', 'SELECT id FROM fuzzed'), first)),
  ];
  for (const send of sends) {
    const clients = await Promise.all(Array.from({ length: 6 }, login));
    await Promise.all(clients.map(send));
    await sleep(100);
    for (const client of clients) client.destroy();
    await untilAtRest(scene.proxy, servers, AT_REST_MS);
  }
});

async function runBatch(
  sessions: readonly MutatedSession[],
  standing: WireClient,
  connected: number,
  dice: Dice,
): Promise<void> {
  const { proxy } = scene;
  const problems = await Promise.all(sessions.map((session) => replay(proxy.port, session)));
  expect(problems.filter((problem) => problem !== null)).toEqual([]);
  const fresh = await login();
  await Promise.all([probe(standing, dice), probe(fresh, dice)]);
  fresh.terminate();
  await untilAtRest(proxy, servers, AT_REST_MS);
  await untilOnly(connected);
  // A write on every shard: no lock and no aborted transaction was left behind.
  await answers(standing, `UPDATE fuzzed SET v = 'swept'`);
}

function login(): Promise<WireClient> {
  return WireClient.login({ port: scene.proxy.port, database: scene.databases.name });
}

async function probe(client: WireClient, dice: Dice): Promise<void> {
  const id = dice.below(PROBE_KEYS);
  expect(rows(await answers(client, 'SELECT 1'))).toEqual([['1']]);
  expect(rows(await answers(client, `SELECT v FROM probe WHERE id = ${id}`))).toEqual([
    [`probe ${id}`],
  ]);
  // What the broken sessions set is theirs alone.
  expect(
    rows(
      await answers(
        client,
        `SELECT current_setting('search_path'), current_setting('work_mem'),
                current_setting('TimeZone') FROM probe WHERE id = ${id}`,
      ),
    ),
  ).toEqual([['"$user", public', '4MB', 'UTC']]);
}

async function answers(client: WireClient, sql: string): Promise<WireMessage[]> {
  client.query(sql);
  const messages = await client.until('Z', PROBE_MS);
  expect(messages.map((message) => message.type)).not.toContain('E');
  return messages;
}

function rows(messages: readonly WireMessage[]): (string | null)[][] {
  return messages.filter((message) => message.type === 'D').map(rowTexts);
}

/** Whoever has left is not counted as connected any more. */
async function untilOnly(expected: number): Promise<void> {
  const deadline = Date.now() + AT_REST_MS;
  let connected = 0;
  do {
    connected = await metric(scene.proxy, 'shardgate_clients_connected');
    if (connected === expected) return;
    await sleep(50);
  } while (Date.now() < deadline);
  throw new Error(`${connected} clients are counted as connected, ${expected} are`);
}

/** What the console says of backends that somebody has, one line each. */
async function lentBackends(): Promise<string> {
  const address = new URL(scene.proxy.url);
  address.pathname = '/shardgate';
  const admin = await connectPg(address.href);
  try {
    const { rows } = await admin.query("SHOW SERVERS WHERE state = 'active'");
    return rows.map((row) => `  lent: ${JSON.stringify(row)}`).join('\n');
  } finally {
    await admin.end();
  }
}

function failure(
  seed: number,
  sessions: readonly MutatedSession[],
  error: unknown,
  lent: string,
): Error {
  const shown = sessions.map((session) => `  ${showSession(session)}`).join('\n');
  const logs = scene.proxy.logs().split('\n').slice(-15).join('\n');
  return new Error(
    `${String(error)}\nrepeat with SHARDGATE_FUZZ_SEED=${seed}; the sessions were\n${shown}\n${lent}\n${logs}`,
    { cause: error },
  );
}
