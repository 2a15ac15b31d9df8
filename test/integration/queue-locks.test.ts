import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Comparison } from '../support/oracle.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';

/*
 * Queues of jobs over several shards: LIMIT ... FOR UPDATE SKIP LOCKED gives the rows that one Postgres gives, and
 * nothing but these stays locked.
 */

let scene: Scene;
let worker: Comparison;

beforeAll(async () => {
  scene = await openScene(
    'queue_locks',
    { shop: { jobs: { shard_key: 'id', vindex: 'by_key' }, queues: { type: 'reference' } } },
    [
      'CREATE TABLE jobs (id int8 PRIMARY KEY, state text, prio int4, queue int4, run_at timestamptz, name text)',
      'CREATE TABLE queues (id int4 PRIMARY KEY, paused bool)',
      'INSERT INTO queues VALUES (0, false), (1, true), (2, false)',
    ],
  );
  worker = await Comparison.open(scene.proxy.url, scene.databases.urls.oracle);
});
beforeEach(async () => {
  await worker.both('ROLLBACK');
  await scene.comparison.both('ROLLBACK');
  await scene.comparison.both('DELETE FROM jobs');
  await scene.comparison.both(
    `INSERT INTO jobs SELECT g, CASE WHEN g % 4 = 0 THEN 'done' ELSE 'new' END, g % 5, g % 3,
       '2024-01-01'::timestamptz + g * interval '1 minute', 'job ' || g FROM generate_series(1, 60) g`,
  );
});
afterAll(async () => {
  await worker.close();
  await scene.close();
});

async function same(sql: string, params?: readonly unknown[]): Promise<void> {
  await scene.comparison.expectSame(sql, params, { ordered: /^SELECT/.test(sql) });
}

/** What another client can have is the same on both sides. */
async function expectSameLocks(): Promise<void> {
  const { results } = await worker.expectSame(
    'SELECT id FROM jobs ORDER BY id FOR UPDATE SKIP LOCKED',
  );
  expect(results[0]!.rows.length).toBeLessThan(60);
}

test.each([
  `SELECT id, name FROM jobs WHERE state = 'new' AND run_at < now() ORDER BY id LIMIT 7 FOR UPDATE SKIP LOCKED`,
  `SELECT * FROM jobs WHERE state = 'new' ORDER BY prio DESC, run_at, id LIMIT 5 OFFSET 3 FOR NO KEY UPDATE SKIP LOCKED`,
  `SELECT id FROM jobs WHERE state = 'new' AND prio = 3 ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1`,
  `SELECT j.id FROM jobs j JOIN queues q ON q.id = j.queue WHERE NOT q.paused ORDER BY j.id LIMIT 4 FOR UPDATE OF j SKIP LOCKED`,
  `SELECT id FROM jobs WHERE state = 'new' AND prio = 2 ORDER BY id LIMIT 21 FOR UPDATE`,
  `SELECT id FROM jobs ORDER BY id FETCH FIRST 3 ROWS ONLY FOR UPDATE`,
])('in a transaction: %s', async (sql) => {
  await same('BEGIN');
  await same(sql);
  await expectSameLocks();
  // Behind rows that are locked come the next ones.
  await worker.both('BEGIN');
  if (/SKIP/.test(sql)) await worker.expectSame(sql, undefined, { ordered: true });
  await worker.both('ROLLBACK');
  await same('SAVEPOINT s');
  await same(
    'SELECT id FROM jobs WHERE id > 50 ORDER BY id DESC LIMIT $1 FOR UPDATE SKIP LOCKED',
    [2],
  );
  await same('ROLLBACK TO s');
  await expectSameLocks();
  await same('ROLLBACK');
});

test('without ORDER BY some rows are locked, and as many as the result has', async () => {
  const [one, other] = [await connectPg(scene.proxy.url), await connectPg(scene.proxy.url)];
  await one.query('BEGIN');
  const taken = await one.query(
    "SELECT id FROM jobs WHERE state = 'new' LIMIT 6 FOR UPDATE SKIP LOCKED",
  );
  expect(taken.rowCount).toBe(6);
  const left = await other.query('SELECT id FROM jobs FOR UPDATE SKIP LOCKED');
  expect(left.rowCount).toBe(54);
  const ids = (rows: { id: string }[]): string[] => rows.map(({ id }) => id);
  expect(ids(left.rows as never)).toEqual(expect.not.arrayContaining(ids(taken.rows as never)));
  await one.query('ROLLBACK');
  await one.end();
  await other.end();
});

test.each([
  `UPDATE jobs SET state = 'run' WHERE id IN (SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 5 FOR UPDATE SKIP LOCKED) RETURNING id, state`,
  `UPDATE jobs SET state = 'run' WHERE id = (SELECT id FROM jobs WHERE state = 'new' ORDER BY prio, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING *`,
  `WITH next AS MATERIALIZED (SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 3 FOR UPDATE SKIP LOCKED)
     UPDATE jobs j SET state = 'run' FROM next WHERE next.id = j.id RETURNING j.id, j.name`,
  `DELETE FROM jobs WHERE id = ANY (ARRAY(SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED)) RETURNING id`,
  `DELETE FROM jobs USING (SELECT id FROM jobs WHERE prio = 1 ORDER BY id LIMIT 4 FOR UPDATE SKIP LOCKED) q WHERE q.id = jobs.id RETURNING jobs.id, jobs.state`,
])('as the choice of a statement that writes: %s', async (sql) => {
  await same(sql);
  await same('BEGIN');
  await same(sql);
  await expectSameLocks();
  await worker.expectSame(sql, undefined, { ordered: false });
  await worker.both('ROLLBACK');
  await same('COMMIT');
  await same('SELECT * FROM jobs ORDER BY id');
});

test('several workers take every job once', { timeout: 30_000 }, async () => {
  const workers = await Promise.all([1, 2, 3].map(() => connectPg(scene.proxy.url)));
  const taken: string[] = [];
  const work = async (client: (typeof workers)[number], inside: boolean): Promise<void> => {
    for (let empty = 0; empty < 5;) {
      if (inside) await client.query('BEGIN');
      const { rows } = await client.query<{ id: string }>(
        `UPDATE jobs SET state = 'run' WHERE id IN (SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 2
           FOR UPDATE SKIP LOCKED) RETURNING id`,
      );
      if (inside) await client.query('COMMIT');
      taken.push(...rows.map(({ id }) => id));
      empty = rows.length === 0 ? empty + 1 : 0;
    }
  };
  await Promise.all(workers.map((client, i) => work(client, i % 2 === 0)));
  expect(taken.length).toBe(45);
  expect(new Set(taken).size).toBe(45);
  for (const client of workers) await client.end();
});

test('what cannot be given back is refused', async () => {
  const client = await connectPg(scene.proxy.url);
  for (const sql of [
    'SELECT id FROM jobs ORDER BY id LIMIT 1 FOR UPDATE NOWAIT',
    'SELECT id FROM jobs ORDER BY id FETCH FIRST 1 ROWS WITH TIES FOR UPDATE',
    'BEGIN; DECLARE c CURSOR FOR SELECT id FROM jobs ORDER BY id LIMIT 1 FOR UPDATE',
  ]) {
    await expect(client.query(sql), sql).rejects.toMatchObject({ code: '0A000' });
    await client.query('ROLLBACK');
  }
  await client.end();
});
