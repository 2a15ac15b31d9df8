import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Proxy } from '../support/proxy.js';
import { runStatement } from '../support/oracle.js';
import {
  connectTo,
  openTwoPhaseScene,
  type DataShard,
  type TwoPhaseScene,
} from '../support/two-phase-scene.js';

/* Transactions that wait for each other on different shards: no server sees it, and one of them must end. */

/** The servers' deadlock_timeout is PostgreSQL's default. */
const DEADLOCK_TIMEOUT_MS = 1000;

let scene: TwoPhaseScene;
let proxy: Proxy;
let clients: pg.Client[];

beforeAll(async () => {
  scene = await openTwoPhaseScene('deadlocks');
  proxy = await scene.startProxy();
  const client = await connectTo(proxy.url);
  for (let id = 1; id <= 40; id++) await client.query('INSERT INTO accounts VALUES ($1, 0)', [id]);
  await client.end();
});
beforeEach(async () => {
  clients = await Promise.all([1, 2, 3, 4].map(() => connectTo(proxy.url)));
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.end()));
});
afterAll(async () => {
  await proxy.stop();
  await scene.close();
});

interface Told {
  readonly code: string | undefined;
  readonly ms: number;
}

const add = 'UPDATE accounts SET balance = balance + 1 WHERE id = $1';

async function told(client: pg.Client, sql: string, values?: readonly unknown[]): Promise<Told> {
  const begun = performance.now();
  const { error } = await runStatement(client, sql, values);
  return { code: error?.code, ms: performance.now() - begun };
}

function addOn(client: pg.Client, shard: DataShard): Promise<Told> {
  return told(client, add, [scene.ids[shard]]);
}

/** Ends the transaction when its statement has. */
async function thenCommit(client: pg.Client, statement: Promise<Told>): Promise<Told> {
  const outcome = await statement;
  const { command } = await client.query('COMMIT');
  expect(command).toBe(outcome.code === undefined ? 'COMMIT' : 'ROLLBACK');
  return outcome;
}

function expectOneVictim(outcomes: readonly Told[]): void {
  const victims = outcomes.filter(({ code }) => code !== undefined);
  expect(victims.map(({ code }) => code)).toEqual(['40P01']);
  for (const { ms } of outcomes) expect(ms).toBeLessThan(2 * DEADLOCK_TIMEOUT_MS);
}

describe('a deadlock over several shards', () => {
  const rings: readonly (readonly DataShard[])[] = [
    ['s0', 's1'],
    ['s0', 's2', 's1', 's3'],
  ];
  test.each(rings)('ends in time by one error: %s, %s', async (...ring) => {
    const members = clients.slice(0, ring.length);
    for (const [at, client] of members.entries()) {
      await client.query('BEGIN');
      await addOn(client, ring[at]!);
    }
    const waits: Promise<Told>[] = [];
    for (const [at, client] of members.entries()) {
      waits.push(thenCommit(client, addOn(client, ring[(at + 1) % ring.length]!)));
      await sleep(20);
    }
    expectOneVictim(await Promise.all(waits));
  });

  test('lets the others go on before the victim has said ROLLBACK', async () => {
    const [a, b] = clients as [pg.Client, pg.Client];
    for (const client of [a, b]) await client.query('BEGIN');
    await addOn(a, 's0');
    await addOn(b, 's1');
    expectOneVictim(await Promise.all([addOn(a, 's1'), addOn(b, 's0')]));
    for (const client of [a, b]) await client.query('ROLLBACK');
  });

  test('may go through a transaction of one shard', async () => {
    const [a, b, local] = clients as [pg.Client, pg.Client, pg.Client];
    const near = await neighbourOf(scene.ids.s0);
    for (const client of [a, b, local]) await client.query('BEGIN');
    await addOn(a, 's1');
    await addOn(b, 's0');
    await told(local, add, [near]);
    const waits = [thenCommit(a, told(a, add, [near]))];
    await sleep(20);
    waits.push(thenCommit(local, addOn(local, 's0')));
    await sleep(20);
    waits.push(thenCommit(b, addOn(b, 's1')));
    expectOneVictim(await Promise.all(waits));
  });

  test('of statements outside BEGIN ends too', async () => {
    const [holder, other] = clients as [pg.Client, pg.Client];
    const { s0, s3 } = scene.ids;
    await holder.query('BEGIN');
    await addOn(holder, 's0');
    // It has the row of the other shard when it comes to the holder's.
    const text = [s3, s0].map((id) => add.replace('$1', String(id))).join('; ');
    const waits = [told(other, text)];
    await sleep(50);
    waits.push(thenCommit(holder, addOn(holder, 's3')));
    expectOneVictim(await Promise.all(waits));
  });
});

/** Another id of the same shard. */
async function neighbourOf(id: number): Promise<number> {
  const quarter = (value: string): string => `(hashint8extended(${value}, 0) >> 62) & 3`;
  const rows = await scene.databases.query(
    'oracle',
    `SELECT id::int FROM generate_series(1, 40) id WHERE id <> $1 AND ${quarter('id')} = ${quarter('$1')} LIMIT 1`,
    [id],
  );
  return rows[0]![0] as number;
}

describe('a deadlock among clients of several proxies', () => {
  let other: Proxy;
  let theirs: pg.Client[];

  beforeAll(async () => {
    other = await scene.startProxy();
  });
  beforeEach(async () => {
    theirs = await Promise.all([1, 2].map(() => connectTo(other.url)));
  });
  afterEach(async () => {
    await Promise.all(theirs.map((client) => client.end()));
  });
  afterAll(async () => {
    await other.stop();
  });

  /** Each has its own and comes to want the next one's; members of both proxies in turns. */
  async function closeRing(ring: readonly DataShard[]): Promise<readonly Told[]> {
    const members = ring.map((_, at) => (at % 2 === 0 ? clients : theirs)[at >> 1]!);
    for (const [at, client] of members.entries()) {
      await client.query('BEGIN');
      await addOn(client, ring[at]!);
    }
    return Promise.all(
      members.map((client, at) => thenCommit(client, addOn(client, ring[(at + 1) % ring.length]!))),
    );
  }

  test.each([[['s0', 's1']], [['s0', 's1', 's2']], [['s3', 's1', 's0', 's2']]] as const)(
    'ends by one error: %s',
    async (ring) => {
      const outcomes = await closeRing(ring);
      const failed = outcomes.filter(({ code }) => code !== undefined);
      expect(failed.map(({ code }) => code)).toEqual(['40P01']);
      for (const { ms } of outcomes) expect(ms).toBeLessThan(4 * DEADLOCK_TIMEOUT_MS);
    },
  );

  test('leaves nothing behind that proxies tell each other', async () => {
    await closeRing(['s0', 's1']);
    await expect
      .poll(() => scene.databases.query('main', 'SELECT * FROM shardgate.waits'), { timeout: 5000 })
      .toEqual([]);
  });

  test('is not what waits for a transaction of another proxy', async () => {
    await expectPatience(clients[0]!, theirs[0]!);
  });
});

describe('what is no deadlock', () => {
  test('waits as long as it must', async () => {
    await expectPatience(clients[0]!, clients[1]!);
  });

  test('is a deadlock within one shard, which PostgreSQL ends', async () => {
    const [a, b] = clients as [pg.Client, pg.Client];
    const near = await neighbourOf(scene.ids.s0);
    for (const client of [a, b]) await client.query('BEGIN');
    for (const client of [a, b]) await addOn(client, client === a ? 's2' : 's3');
    await addOn(a, 's0');
    await told(b, add, [near]);
    const waits = [thenCommit(a, told(a, add, [near])), thenCommit(b, addOn(b, 's0'))];
    expectOneVictim(await Promise.all(waits));
  });

  test('statements that write on all shards take them in one order', async () => {
    // One row a shard: PostgreSQL itself may take several in different orders.
    const add = 'UPDATE accounts SET balance = balance + 1 WHERE id + 0 = ANY ($1)';
    const ids = Object.values(scene.ids);
    const runs = clients.map(async (client) => {
      for (let i = 0; i < 5; i++) expect((await client.query(add, [ids])).rowCount).toBe(4);
    });
    await Promise.all(runs);
  });
});

/** One transaction waits for a row of another one, which ends: nobody is cancelled. */
async function expectPatience(holder: pg.Client, waiter: pg.Client): Promise<void> {
  for (const client of [holder, waiter]) await client.query('BEGIN');
  await addOn(holder, 's0');
  await addOn(holder, 's1');
  await addOn(waiter, 's2');
  const wait = addOn(waiter, 's0');
  await sleep(2.5 * DEADLOCK_TIMEOUT_MS);
  await holder.query('COMMIT');
  expect((await wait).code).toBeUndefined();
  await waiter.query('COMMIT');
}
