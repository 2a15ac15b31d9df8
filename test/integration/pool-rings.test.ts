import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startProxy, type Proxy } from '../support/proxy.js';
import { connectTo, openTwoPhaseScene, type TwoPhaseScene } from '../support/two-phase-scene.js';

/* More transactions over several shards than the pools have backends: nobody may wait for ever. */

let scene: TwoPhaseScene;
let proxy: Proxy;

beforeAll(async () => {
  scene = await openTwoPhaseScene('pool_rings');
  proxy = await startProxy({
    config: { ...scene.config, pool: { size: 2, queue_timeout: '20s' } },
  });
  const client = await connectTo(proxy.url);
  for (let id = 1; id <= 40; id++) await client.query('INSERT INTO accounts VALUES ($1, 0)', [id]);
  await client.end();
});
afterAll(async () => {
  await proxy.stop();
  await scene.close();
});

const add = 'UPDATE accounts SET balance = balance + 1 WHERE id = $1';

async function withClients(count: number, run: (clients: pg.Client[]) => Promise<void>) {
  const clients = await Promise.all(Array.from({ length: count }, () => connectTo(proxy.url)));
  try {
    await run(clients);
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

describe('transactions that hold what others wait for', () => {
  test.each([
    ['two pools', ['s0', 's1']],
    ['four pools', ['s0', 's1', 's2', 's3']],
  ] as const)('go on at once: a ring of %s', async (_what, ring) => {
    await withClients(2 * ring.length, async (clients) => {
      // Rows of their own: only the backends are short.
      const rows = await rowsOf(clients.length);
      for (const [at, client] of clients.entries()) {
        await client.query('BEGIN');
        await client.query(add, [rows[ring[at % ring.length]!]![at]!]);
      }
      const begun = performance.now();
      await Promise.all(
        clients.map(async (client, at) => {
          for (let step = 1; step < ring.length; step++) {
            await client.query(add, [rows[ring[(at + step) % ring.length]!]![at]!]);
          }
          await client.query('COMMIT');
        }),
      );
      expect(performance.now() - begun).toBeLessThan(15_000);
    });
  });

  test('under load: every one of them commits', async () => {
    await withClients(16, async (clients) => {
      await Promise.all(
        clients.map(async (client, at) => {
          for (let i = 0; i < 6; i++) {
            await client.query('BEGIN');
            // Rows of its own: locks of rows beside waits for backends may last to pool.queue_timeout.
            const ids = [1 + at, 21 + at, 41 + at];
            for (let step = 0; step < 3; step++) {
              await client.query(add, [ids[(i + step) % 3]!]);
            }
            await client.query('COMMIT');
          }
        }),
      );
    });
  });
});

/** Ids of each shard, as many as are wanted; rows that are missing are made. */
async function rowsOf(count: number): Promise<Record<string, number[]>> {
  const rows: Record<string, number[]> = { s0: [], s1: [], s2: [], s3: [] };
  const placed = await scene.databases.query(
    'oracle',
    'SELECT id::int, ((hashint8extended(id, 0) >> 62) & 3)::int FROM generate_series(1, 400) id',
  );
  for (const [id, place] of placed) rows[`s${String(place)}`]!.push(id as number);
  await withClients(1, async ([client]) => {
    for (const ids of Object.values(rows)) {
      for (const id of ids.slice(0, count)) {
        await client!.query('INSERT INTO accounts VALUES ($1, 0) ON CONFLICT DO NOTHING', [id]);
      }
    }
  });
  return rows;
}
