/*
 * Goal: what a pipeline reads and writes over several shards is one transaction up to its Sync, and
 * every message of it is the one that a plain Postgres sends. Method: random pipelines of reads (merged,
 * aggregated, gathered, dealt), writes over several shards and errors, with and without BEGIN, on the
 * proxy and the oracle; then the tables are compared. SHARDGATE_PIPELINES_SEED repeats one.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Dice } from '../support/chaos-random.js';
import { openScene, type Scene } from '../support/scene.js';
import type { WireClient } from '../support/wire-client.js';
import { WirePair } from '../support/wire-pair.js';
import { seedFrom } from '../support/seed.js';

const SEED = seedFrom('SHARDGATE_PIPELINES_SEED');
const PIPELINES = Number(process.env['SHARDGATE_PIPELINES'] ?? 60);

const byId = { shard_key: 'id', vindex: 'by_key' };

let scene: Scene;
let pair: WirePair;

beforeAll(async () => {
  scene = await openScene(
    'pipelined_writes',
    { main: { log: {} }, shop: { acc: byId, items: byId, lefts: byId, rights: byId } },
    [
      'CREATE TABLE log (id int PRIMARY KEY, t text)',
      'CREATE TABLE acc (id int PRIMARY KEY, n int CHECK (n < 1000), t text)',
      'CREATE TABLE items (id int, pos int, n int, PRIMARY KEY (id, pos))',
      'CREATE TABLE lefts (id int PRIMARY KEY, k int)',
      'CREATE TABLE rights (id int PRIMARY KEY, k int)',
      `INSERT INTO acc SELECT g, g % 7, 't' || g FROM generate_series(1, 40) g`,
      'INSERT INTO items SELECT g % 20, g, g % 5 FROM generate_series(1, 60) g',
      'INSERT INTO lefts SELECT g, g % 9001 FROM generate_series(1, 26000) g',
      'INSERT INTO rights SELECT g, g % 8999 FROM generate_series(1, 26000) g',
      'ANALYZE lefts, rights, acc, items',
      // DDL makes the proxy look at the catalog anew, and so at how many rows there are.
      `COMMENT ON TABLE lefts IS 'large'`,
    ],
  );
  const dealt = await scene.comparison.expectSame(`SELECT count(*) ${JOIN}`);
  expect(dealt.error).toBeNull();
  const { port, databases } = { port: scene.proxy.port, databases: scene.databases };
  pair = await WirePair.open(port, scene.oraclePort, {
    user: 'postgres',
    database: databases.name,
  });
});
afterAll(async () => {
  pair.close();
  await scene.close();
});

const JOIN = 'FROM lefts l JOIN rights r ON r.k = l.k';

/** A statement, and its parameters as text. */
type Step = readonly [sql: string, ...values: string[]];

function stepOf(dice: Dice): Step {
  const key = (): string => String(dice.between(1, 60));
  const small = (): string => String(dice.between(0, 9));
  return dice.pick<() => Step>([
    () => ['SELECT id, n, t FROM acc ORDER BY t, id'],
    () => ['SELECT id, t FROM acc WHERE n > $1::int ORDER BY id DESC LIMIT 5', small()],
    () => ['SELECT count(*), sum(n), max(t) FROM acc'],
    () => ['SELECT a.id, i.pos FROM acc a JOIN items i ON i.n = a.n AND i.pos < 9 ORDER BY 1, 2'],
    () => [`SELECT count(*), sum(l.id) ${JOIN} WHERE l.id > $1::int`, key()],
    () => [`SELECT l.id, r.id ${JOIN} WHERE l.id < 90 AND r.id < 90 ORDER BY 1, 2`],
    () => ['SELECT n FROM acc WHERE id = $1::int', key()],
    () => ['SELECT 6 / n FROM acc WHERE id = $1::int', key()],
    () => ['SELECT 6 / $1::int', small()],
    () => [`SET work_mem = '${dice.between(1, 9)}MB'`],
    () => ['UPDATE acc SET n = n + 1 WHERE id = $1::int', key()],
    () => ['UPDATE acc SET n = n + $1::int', small()],
    () => ['UPDATE acc SET n = 999 + $1::int WHERE id IN (3, 4, 5, 6)', small()],
    () => [
      'UPDATE acc SET t = i.n::text FROM items i WHERE i.pos = acc.id AND i.n > $1::int',
      small(),
    ],
    () => ['DELETE FROM items WHERE pos % 10 = $1::int', small()],
    () => ['DELETE FROM acc WHERE id = $1::int', key()],
    () => [
      `INSERT INTO acc VALUES ($1, 1, 'a'), ($2, 2, 'b'), (100 + $3::int, 3, 'c')`,
      key(),
      key(),
      key(),
    ],
    () => [
      'INSERT INTO acc SELECT pos + 200, n, NULL FROM items WHERE n = $1::int ON CONFLICT DO NOTHING',
      small(),
    ],
    () => [
      'INSERT INTO log SELECT id, t FROM acc WHERE n > $1::int ON CONFLICT (id) DO UPDATE SET t = excluded.t',
      small(),
    ],
    () => ['UPDATE acc SET id = id + 1000 WHERE id % 10 = $1::int AND id < 100', small()],
    () => [
      'MERGE INTO acc a USING (VALUES ($1::int, 5)) v (k, n) ON a.id = v.k WHEN MATCHED THEN UPDATE SET n = v.n WHEN NOT MATCHED THEN INSERT VALUES (v.k, v.n, NULL)',
      key(),
    ],
    () => [
      'WITH d AS (DELETE FROM items WHERE n = $1::int RETURNING id, pos) SELECT count(*), max(pos) FROM d',
      small(),
    ],
    () => ['SELECT 1 / (n - $1::int) AS q FROM acc ORDER BY 1', small()],
    () => [
      'SELECT a.id / (i.n - $1::int) AS q FROM acc a JOIN items i ON i.pos = a.n ORDER BY 1',
      small(),
    ],
    () => ['SELECT nothing FROM acc'],
  ])();
}

/** Statements of one pipeline; transactions are opened and ended within it, or not at all. */
function pipelineOf(dice: Dice): Step[] {
  const steps = Array.from({ length: dice.between(2, 5) }, () => stepOf(dice));
  const at = dice.between(0, steps.length);
  return dice.pick<() => Step[]>([
    () => steps,
    () => steps,
    () => steps,
    () => [['BEGIN'], ...steps, ['COMMIT']],
    () => [
      ['BEGIN'],
      ...steps.slice(0, at),
      ['SAVEPOINT s'],
      ...steps.slice(at),
      ['ROLLBACK TO s'],
      ['COMMIT'],
    ],
    () => [...steps.slice(0, at), ['COMMIT'], ...steps.slice(at)],
    () => [...steps, ['ROLLBACK'], ...steps.slice(0, 1)],
  ])();
}

function send(client: WireClient, steps: readonly Step[], describes: boolean): void {
  for (const [sql, ...values] of steps) {
    client.parse(sql);
    client.bind({ values });
    if (describes) client.describe('P');
    client.execute();
  }
  client.sync();
}

test(`pipelines over several shards (seed ${SEED})`, { timeout: 180_000 }, async () => {
  const dice = new Dice(SEED);
  const options = { codesOnly: true, tableless: true } as const;
  for (let i = 0; i < PIPELINES; i++) {
    const steps = pipelineOf(dice);
    const describes = dice.chance(0.5);
    const text = `seed ${SEED}, pipeline ${i}: ${JSON.stringify(steps)}`;
    const run = async (): Promise<void> => {
      await pair.expectSame((client) => send(client, steps, describes), options);
      // Whatever it has left open.
      await pair.expectSame((client) => client.query('ROLLBACK'), options);
      for (const table of ['acc', 'items', 'log']) {
        const sql = `SELECT * FROM ${table} ORDER BY 1, 2`;
        await pair.expectSame((client) => client.query(sql), options);
      }
    };
    await run().catch((error: unknown) => {
      throw new Error(text, { cause: error });
    });
  }
});

test('what fails on one shard undoes what another shard has written', async () => {
  const write: Step = ['INSERT INTO acc VALUES ($1, 1)', '5001'];
  const fails: Step = ['SELECT 1 / $1::int', '0'];
  const pipelines: Step[][] = [
    [[`SET work_mem = '1MB'`], write, fails],
    [['SELECT 1'], write, fails],
    [['INSERT INTO log VALUES (5001)'], ['COMMIT'], write, fails],
    [['SELECT n FROM acc WHERE id = 2'], write, ['SELECT n / 0 FROM acc WHERE id = 2']],
    [write, ['SELECT n / 0 FROM acc WHERE id = 2']],
  ];
  for (const steps of pipelines) {
    await pair.expectSame((client) => send(client, steps, false), { codesOnly: true });
    await pair.expectSame((client) => client.query('SELECT * FROM acc WHERE id = 5001'));
  }
});
