import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { misplacedRows, openScene, type Scene } from '../support/scene.js';

/*
 * Partitions of a sharded table are sharded as it is, and may be used by their own names. DDL that would take rows out
 * of sight, or make them up differently on each shard, is refused.
 */
let scene: Scene;

beforeAll(async () => {
  scene = await openScene(
    'partitions',
    {
      shop: {
        events: { shard_key: 'id', vindex: 'by_key' },
        events_aside: { shard_key: 'id', vindex: 'by_key' },
        events_other: { shard_key: 'kind', vindex: 'by_key' },
        kinds: { type: 'reference' },
      },
    },
    [
      `CREATE TABLE events (id int4, at date, kind int4, body text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)`,
      `CREATE TABLE events_24 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')`,
      `CREATE TABLE events_25 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
        PARTITION BY RANGE (id)`,
      'CREATE TABLE events_25_low PARTITION OF events_25 FOR VALUES FROM (0) TO (70)',
      'CREATE TABLE events_25_high PARTITION OF events_25 DEFAULT',
      'CREATE TABLE events_aside (id int4 NOT NULL, at date NOT NULL, kind int4, body text)',
      'CREATE TABLE events_other (id int4 NOT NULL, at date NOT NULL, kind int4, body text)',
      'CREATE TABLE events_main (id int4 NOT NULL, at date NOT NULL, kind int4, body text)',
      'CREATE TABLE kinds (id int4 PRIMARY KEY)',
      'INSERT INTO kinds VALUES (1)',
      `INSERT INTO events SELECT g, date '2024-01-01' + g * 7, g % 5, 'b' || g FROM generate_series(1, 100) g`,
    ],
  );
});
afterAll(async () => {
  await scene.close();
});

test('a partition is read and written by its own name', async () => {
  const { comparison, databases } = scene;
  for (const sql of [
    'SELECT count(*) FROM events_24',
    'SELECT * FROM events_25 ORDER BY id LIMIT 3',
    'SELECT body FROM events_25_low WHERE id = 60',
    `INSERT INTO events_24 VALUES (200, '2024-05-05', 1, 'x'), (201, '2024-05-06', 2, 'y') RETURNING *`,
    `INSERT INTO events_24 VALUES (203, '2025-05-05', 1, 'x')`,
    `UPDATE events_24 SET body = body || '!' WHERE id > 199`,
    'UPDATE events_24 SET id = id + 1000 WHERE id > 199',
    `UPDATE events_24 SET at = '2025-06-01' WHERE id = 1201`,
    'DELETE FROM events_24 WHERE id = 1200 RETURNING *',
    'SELECT e.id, p.body FROM events e JOIN events_24 p USING (id) WHERE e.id < 4 ORDER BY 1',
    'SELECT count(*) FROM events a JOIN events_25 b ON a.body > b.body',
    `WITH gone AS (DELETE FROM events_24 WHERE id = 1201 RETURNING *)
      INSERT INTO events SELECT id, at + 1, kind, body FROM gone RETURNING *`,
    'INSERT INTO events SELECT id + 500, at, kind, body FROM events_24 WHERE id < 9',
    'TRUNCATE events_25_high',
    'SELECT * FROM events ORDER BY id',
  ]) {
    await comparison.expectSame(sql);
  }
  expect(await misplacedRows(databases, 'events', 'id', 'hashint4extended')).toEqual([]);
});

test('rows tell which partition they are in', async () => {
  for (const sql of [
    'SELECT tableoid::regclass AS part, count(*), min(at) FROM events GROUP BY 1 ORDER BY 1',
    'SELECT tableoid::regclass, * FROM events WHERE id > 40 ORDER BY tableoid, id LIMIT 30',
    `SELECT e.*, e.tableoid::regclass::text FROM events e WHERE tableoid = 'events_24'::regclass ORDER BY id`,
    `SELECT count(*) FROM events WHERE tableoid IN ('events_25_low'::regclass, 'kinds'::regclass)`,
    `SELECT a.tableoid::regclass::text, b.tableoid::regclass, count(*) FROM events a
      LEFT JOIN events b ON b.id = a.kind AND b.tableoid = a.tableoid GROUP BY 1, 2 ORDER BY 1, 2`,
    'SELECT c.relname, count(*) FROM events e JOIN pg_class c ON c.oid = e.tableoid GROUP BY 1 ORDER BY 1',
    'SELECT tableoid::regclass FROM kinds',
    'SELECT tableoid FROM events a, events b',
  ]) {
    await scene.comparison.expectSame(sql);
  }
  await scene.comparison.expectRefused('SELECT tableoid::regclass, e FROM events e');
  // A number is the one that the name has for every client.
  const numbers = `SELECT count(*) FROM events WHERE tableoid = 'events_24'::regclass::oid
    AND tableoid::int8 = (SELECT oid::int8 FROM pg_class WHERE relname = 'events_24')`;
  await scene.comparison.expectSame(numbers);
});

test('what a WITH query changes in a partition is not seen through the whole', async () => {
  await scene.comparison.expectSame(
    'WITH gone AS (DELETE FROM events_24 WHERE id < 3 RETURNING *) SELECT count(*) FROM events',
  );
});

describe('refused', () => {
  test.each([
    ['CREATE UNIQUE INDEX ON events_24 (body)', 'must contain its shard key'],
    ['ALTER TABLE events_24 ADD UNIQUE (body)', 'must contain its shard key'],
    [
      `CREATE TABLE events_26 PARTITION OF events (UNIQUE (body)) FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')`,
      'must contain its shard key',
    ],
    [
      `ALTER TABLE events ATTACH PARTITION events_main FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')`,
      'spread in another way',
    ],
    [
      `ALTER TABLE events ATTACH PARTITION events_other FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')`,
      'spread in another way',
    ],
    ['ALTER TABLE events DETACH PARTITION events_24', 'spread in another way'],
  ])('%s', async (sql, reason) => {
    await scene.comparison.expectRefused(sql, undefined, reason);
  });
});

test('a table that is spread alike may be attached and detached', async () => {
  for (const sql of [
    `INSERT INTO events_aside SELECT g, '2026-03-03', 0, 'a' FROM generate_series(1, 9) g`,
    `ALTER TABLE events ATTACH PARTITION events_aside FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')`,
    `SELECT count(*) FROM events WHERE at > '2026-01-01'`,
    'ALTER TABLE events DETACH PARTITION events_aside',
    'SELECT count(*) FROM events_aside',
    `ALTER TABLE events ADD COLUMN u uuid DEFAULT gen_random_uuid(), ADD COLUMN n int4 DEFAULT 7`,
    'SELECT count(DISTINCT u) = count(*), sum(n) > 0 FROM events',
    'ALTER TABLE events ADD COLUMN k serial, ADD COLUMN t timestamptz DEFAULT CURRENT_TIMESTAMP',
    'SELECT count(*), count(DISTINCT k), max(k), count(DISTINCT t) FROM events',
    'DROP TABLE events_24',
    'SELECT count(*) FROM events',
  ]) {
    await scene.comparison.expectSame(sql);
  }
});
