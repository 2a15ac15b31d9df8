import { afterAll, afterEach, beforeAll, beforeEach, describe, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { WirePair } from '../support/wire-pair.js';

let scene: Scene;
const pairs: WirePair[] = [];

beforeAll(async () => {
  scene = await openScene(
    'setconfig',
    { main: {}, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, tenant text)',
      `INSERT INTO items VALUES (1, 'a'), (2, 'b'), (3, 'a'), (4, 'b'), (5, 'a')`,
    ],
    { pool: { size: 1 } },
  );
});
afterAll(async () => {
  await scene.close();
});
beforeEach(async () => {
  pairs.push(await open(), await open());
});
afterEach(() => {
  for (const pair of pairs.splice(0)) pair.close();
});

function open(): Promise<WirePair> {
  const { proxy, oraclePort, databases } = scene;
  return WirePair.open(proxy.port, oraclePort, { database: databases.name });
}

async function same(pair: WirePair, ...queries: readonly string[]): Promise<void> {
  for (const sql of queries) await pair.expectSame((client) => client.query(sql));
}

async function bound(
  pair: WirePair,
  sql: string,
  values: readonly (string | Buffer | null)[],
  formats: readonly number[] = [],
): Promise<void> {
  await pair.expectSame((client) => {
    client.parse(sql);
    client.bind({ values, formats });
    client.describe('P');
    client.execute();
    client.sync();
  });
}

const COUNT = `SELECT count(*) FROM items WHERE tenant = current_setting('app.tenant', true)`;

describe('set_config with parameters', () => {
  test('local to a transaction, on every shard that joins it', async () => {
    const [a, b] = pairs as [WirePair, WirePair];
    await same(a, 'BEGIN');
    await bound(a, `SELECT set_config('app.tenant', $1, true)`, ['a']);
    await same(a, COUNT, `SELECT current_setting('app.tenant') FROM items WHERE id = 4`, 'COMMIT');
    await same(a, `SELECT current_setting('app.tenant', true) = 'a'`);
    await same(b, COUNT);
  });

  test('for the session, and never for a neighbour', async () => {
    const [a, b] = pairs as [WirePair, WirePair];
    await bound(a, `SELECT set_config('app.tenant', $1::text, false)`, ['b']);
    await same(a, COUNT, `SELECT current_setting('app.tenant') FROM items WHERE id = 3`);
    await same(b, COUNT);
    await bound(
      b,
      'SELECT set_config($1, $2, $3)',
      ['app.tenant', 'a', Buffer.from([0])],
      [0, 0, 1],
    );
    await same(b, COUNT);
    await same(a, COUNT, 'BEGIN');
    await bound(a, `SELECT set_config('app.tenant', $1, false)`, ['a']);
    await same(a, COUNT, 'ROLLBACK', COUNT);
    await same(
      a,
      `PREPARE t AS SELECT set_config('app.tenant', $1, false)`,
      `EXECUTE t('a')`,
      COUNT,
    );
    await same(b, 'RESET ALL', COUNT);
  });

  test('of what names mean', async () => {
    const [a] = pairs as [WirePair];
    await bound(a, `SELECT set_config('search_path', $1, false)`, ['pg_catalog']);
    await a.expectSame((client) => client.query('SELECT count(*) FROM items'), { codesOnly: true });
    await bound(a, `SELECT set_config('search_path', $1, false)`, ['public']);
    await same(a, 'SELECT count(*) FROM items');
    await bound(a, `SELECT set_config('app.tenant', $1, $2)`, ['x', 'maybe']);
    await same(a, `SELECT nullif(current_setting('app.tenant', true), '') AS tenant`);
  });
});

test('a setting that the servers may not know, as pg_dump sets it', async () => {
  const [one, other] = pairs as [WirePair, WirePair];
  const set = (name: string, value: string): string =>
    `SELECT set_config(name, '${value}', false) FROM pg_settings WHERE name = '${name}'`;
  await same(one, set('restrict_nonsystem_relation_kind', 'view, foreign-table'));
  await same(one, set('work_mem', '5MB'), set('unheard_of', 'x'), set('WORK_MEM', '9MB'));
  await same(one, set('DateStyle', 'German'), set('work_mem', 'much'), 'SHOW work_mem');
  await same(other, 'SHOW work_mem', 'SHOW restrict_nonsystem_relation_kind', 'SHOW datestyle');
  await same(one, 'SHOW work_mem', 'SHOW restrict_nonsystem_relation_kind', 'SHOW datestyle');
  await same(one, 'BEGIN', set('work_mem', '6MB'), 'SELECT tenant FROM items WHERE id = 3');
  await same(one, 'SHOW work_mem', 'ROLLBACK', 'SHOW work_mem');
});
