import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { runStatement, type Outcome } from '../support/oracle.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';

/*
 * What READ COMMITTED promises to a writer that had to wait: the row is looked at again as the other
 * transaction has left it. The same steps run on the proxy and on one Postgres.
 */

const scene: Scene = await openScene(
  'write_waits',
  {
    main: { settings: {} },
    shop: {
      items: { shard_key: 'id', vindex: 'by_key' },
      links: { shard_key: 'id', vindex: 'by_key' },
    },
  },
  [
    'CREATE TABLE items (id int8 PRIMARY KEY, n int4, tag text)',
    'CREATE TABLE links (id int8 PRIMARY KEY, item int8)',
    'INSERT INTO links VALUES (101, 1), (102, 2), (103, 3), (104, 4)',
  ],
);

afterAll(async () => {
  await scene.close();
});

beforeEach(async () => {
  await scene.comparison.both('DELETE FROM items');
  await scene.comparison.both(
    "INSERT INTO items VALUES (1, 10, 'a'), (2, 20, 'a'), (3, 30, 'b'), (4, 40, 'b')",
  );
});

/** Runs `second` while `first` holds its locks, then ends `first`: what both sides then hold. */
async function race(url: string, first: string, second: string, end: string): Promise<Outcome[]> {
  const clients: pg.Client[] = [await connectPg(url), await connectPg(url)];
  const [holder, waiter] = clients as [pg.Client, pg.Client];
  try {
    await holder.query('BEGIN');
    await holder.query(first);
    let waited = true;
    const answer = runStatement(waiter, second).finally(() => {
      waited = false;
    });
    await sleep(300);
    expect(waited, `${second} waits for ${first}`).toBe(true);
    await holder.query(end);
    const contents = 'SELECT * FROM items ORDER BY id';
    return [sorted(await answer), await runStatement(waiter, contents)];
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

function sorted(outcome: Outcome): Outcome {
  const results = outcome.results.map((result) => ({
    ...result,
    rows: [...result.rows].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
  }));
  return { ...outcome, results };
}

const BY_LINK =
  'UPDATE items i SET n = i.n + 1 FROM links l WHERE l.item = i.id AND i.n < 35 RETURNING i.id, i.n';

describe('a writer that waits', () => {
  test.each([
    ['UPDATE items SET n = 50 WHERE id = 3', BY_LINK],
    ['UPDATE items SET n = n + 1 WHERE id IN (1, 2)', BY_LINK],
    ['DELETE FROM items WHERE id = 2', BY_LINK],
    [
      "UPDATE items SET tag = 'c' WHERE id = 1",
      'DELETE FROM items WHERE id IN (SELECT item FROM links) RETURNING *',
    ],
    [
      'UPDATE items SET n = 0 WHERE id = 4',
      'DELETE FROM items WHERE n > (SELECT max(id) - 80 FROM links) RETURNING *',
    ],
    [
      'UPDATE items SET n = 99 WHERE id = 1',
      'UPDATE items SET id = id + 1000, n = n + 1 WHERE n < 35 RETURNING *',
    ],
    ['DELETE FROM items WHERE id = 3', 'UPDATE items SET id = id + 1000 WHERE n < 35 RETURNING *'],
    [
      "UPDATE items SET n = 11, tag = 'z' WHERE id = 1",
      'UPDATE items SET id = 2001 WHERE id = 1 AND n < 35 RETURNING *',
    ],
  ])('%s; then %s', async (first, second) => {
    for (const end of ['COMMIT', 'ROLLBACK']) {
      const onProxy = await race(scene.proxy.url, first, second, end);
      const onOracle = await race(scene.databases.urls.oracle, first, second, end);
      expect(onProxy).toEqual(onOracle);
      await scene.comparison.both('DELETE FROM items');
      await scene.comparison.both(
        "INSERT INTO items VALUES (1, 10, 'a'), (2, 20, 'a'), (3, 30, 'b'), (4, 40, 'b')",
      );
    }
  });
});
