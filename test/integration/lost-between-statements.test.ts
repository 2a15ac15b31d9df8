/* Shards that are lost while nobody waits for them: the client hears of it once, at the right statement. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { startRelay, type Relay } from '../support/relay.js';
import { connectPg } from '../support/scene.js';
import { WireClient } from '../support/wire-client.js';
import { errorFields, type WireMessage } from '../support/wire-messages.js';
import { typesOf } from '../support/wire-pair.js';

const DATABASE = 'lost_between_statements';

let databases: DatabaseSet;
let toMain: Relay;
let toS1: Relay;
let proxy: Proxy;
let client: WireClient;
/** The key of a row on s1. */
let onS1: number;

beforeAll(async () => {
  databases = await createDatabaseSet(DATABASE);
  [toMain, toS1] = await Promise.all([
    startRelay(databases.urls.main),
    startRelay(databases.urls.s1),
  ]);
  const urls = {
    ...databases.urls,
    main: `${toMain.url}?sslmode=disable`,
    s1: `${toS1.url}?sslmode=disable`,
  };
  proxy = await startProxy({
    config: clusterConfig(
      { ...databases, urls },
      { main: { lone: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
      { pool: { size: 3, queue_timeout: '2s', connect_timeout: '2s' } },
    ),
  });
  const setup = await connectPg(proxy.url);
  await setup.query('CREATE TABLE items (id int PRIMARY KEY)');
  await setup.query('CREATE TABLE lone (id int)');
  await setup.query(`INSERT INTO items VALUES ${numbers(40)}`);
  await setup.end();
  const [[id] = []] = await databases.query('s1', 'SELECT min(id) FROM items');
  onS1 = id as number;
});
beforeEach(async () => {
  client = await WireClient.login({ port: proxy.port, database: DATABASE });
});
afterEach(() => {
  client.destroy();
});
afterAll(async () => {
  await proxy.stop();
  await Promise.all([toMain.close(), toS1.close()]);
  await databases.drop();
});

function numbers(count: number): string {
  return Array.from({ length: count }, (_, id) => `(${id})`).join();
}

/** Cuts all connections to a shard and takes no new ones, and waits until the proxy knows. */
async function close(relay: Relay, shard: string): Promise<void> {
  relay.setOpen(false);
  await expect.poll(() => connectionsTo(shard), { timeout: 20_000 }).toBe(0);
}

/** The same, and opens again. */
async function lose(relay: Relay, shard: string): Promise<void> {
  await close(relay, shard);
  relay.setOpen(true);
}

async function connectionsTo(shard: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${proxy.httpPort}/metrics`);
  const counts = (await answer.text()).matchAll(
    new RegExp(`^shardgate_pool_(?:active|idle)\\{[^}]*shard="${shard}"[^}]*\\} (\\d+)$`, 'gm'),
  );
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

function pipelined(sql: string): void {
  client.parse(sql);
  client.bind();
  client.execute();
}

async function ask(sql: string): Promise<WireMessage[]> {
  client.query(sql);
  return client.until('Z');
}

/** Types of messages, SQLSTATEs in place of errors, and the transaction's status. */
function told(messages: readonly WireMessage[]): string {
  const states = messages.map((message) =>
    message.type === 'E' ? errorFields(message)['C'] : message.type,
  );
  return [...states.slice(0, -1), messages.at(-1)!.body.toString()].join(' ');
}

test('a loss is told though the pipeline before has failed on a shard that was lost too', async () => {
  pipelined(`SELECT 1 / (id - ${onS1}) FROM items WHERE id = ${onS1}`);
  client.flush();
  expect(typesOf(await client.until('E'))).toBe('12E');
  await lose(toS1, 's1');
  client.sync();
  expect(told(await client.until('Z'))).toBe('I');
  toS1.cutAt('lost here', 'before');
  pipelined(`SELECT id, 'lost here' FROM items WHERE id = ${onS1}`);
  client.sync();
  // Where the Parse came alone, another shard has judged it.
  expect(told(await client.until('Z'))).toMatch(/^(1 )?08006 I$/);
});

test('a portal over several shards ends when another one is lost and their backends go back', async () => {
  expect(told(await ask('BEGIN'))).toBe('C T');
  client.parse('SELECT id FROM items ORDER BY id');
  client.bind({ portal: 'rows' });
  client.execute('rows', 1);
  client.sync();
  expect(told(await client.until('Z'))).toBe('1 2 D s T');
  toMain.cutAt('lost here', 'before');
  pipelined(`SELECT id, 'lost here' FROM lone`);
  client.sync();
  expect(told(await client.until('Z'))).toMatch(/08006 E$/);
  client.closeNamed('P', 'rows');
  client.sync();
  expect(told(await client.until('Z'))).toBe('3 E');
  expect(told(await ask('ROLLBACK'))).toBe('C I');
});

test.each(["SET application_name = 'x'", 'PREPARE one AS SELECT * FROM lone'])(
  '%s that finds no shard fails the transaction and does not end it',
  async (sql) => {
    expect(told(await ask('BEGIN'))).toBe('C T');
    await close(toMain, 'main');
    try {
      expect(told(await ask(sql))).toMatch(/^08001 E$/);
      expect(told(await ask(`DELETE FROM items`))).toBe('25P02 E');
      expect(told(await ask('COMMIT'))).toBe('C I');
    } finally {
      toMain.setOpen(true);
    }
    expect(await databases.query('s1', 'SELECT count(*) > 0 FROM items')).toEqual([[true]]);
  },
);

test.each(['SELECT id FROM items', 'SELECT id FROM items ORDER BY id'])(
  'a portal of %s is closed though one of its shards is gone',
  async (sql) => {
    expect(told(await ask('BEGIN'))).toBe('C T');
    client.parse(sql);
    client.bind({ portal: 'rows' });
    client.execute('rows', 1);
    client.sync();
    expect(told(await client.until('Z'))).toBe('1 2 D s T');
    await lose(toS1, 's1');
    client.closeNamed('P', 'rows');
    client.sync();
    expect(told(await client.until('Z'))).toBe('3 T');
    // The client has not heard of it, and must before anything is committed.
    expect(told(await ask(`SELECT id FROM items WHERE id = ${onS1}`))).toBe('08006 E');
    expect(told(await ask('ROLLBACK'))).toBe('C I');
  },
);
