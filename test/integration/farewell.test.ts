/* Clients that leave while a statement runs: with a goodbye it is finished, as on Postgres; without one it is not. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { WireClient } from '../support/wire-client.js';
import { frame, rowTexts } from '../support/wire-messages.js';

let scene: Scene;
const open = (): Promise<WireClient> =>
  WireClient.login({ port: scene.proxy.port, database: 'farewell' });

beforeAll(async () => {
  scene = await openScene(
    'farewell',
    { main: { notes: {} }, shop: { items: { shard_key: 'id' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, n int4)',
      'CREATE TABLE notes (id int8 PRIMARY KEY, text text)',
      'INSERT INTO items VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0)',
    ],
  );
});
afterAll(() => scene.close());

const slow = {
  'of one shard': [
    "INSERT INTO notes SELECT $, pg_sleep(0.4)::text || 'x'",
    'SELECT count(*) FROM notes WHERE id = $',
    '1',
  ],
  'of several shards': [
    'UPDATE items SET n = $ WHERE (SELECT count(*) FROM generate_series(1, 1500000)) > 0',
    'SELECT count(*) FROM items WHERE n = $',
    '8',
  ],
} as const;

/** What a query gives, asked again until it is the wanted value or a while has passed. */
async function ask(sql: string, wanted: string): Promise<string | null> {
  const client = await open();
  let found: string | null = null;
  for (let i = 0; i < 40 && found !== wanted; i++) {
    client.query(sql);
    const row = (await client.until('Z')).find(({ type }) => type === 'D');
    found = rowTexts(row!)[0]!;
    await sleep(50);
  }
  client.terminate();
  return found;
}

let value = 10;
for (const [name, [write, check, rows]] of Object.entries(slow)) {
  const filled = (sql: string): string => sql.replace('$', String(value));

  test(`a simple query ${name} is finished behind Terminate`, async () => {
    value++;
    const client = await open();
    client.query(filled(write));
    client.terminate();
    expect(await ask(filled(check), rows)).toBe(rows);
  });

  test(`so is a pipeline ${name}, with all that stands in front of Terminate`, async () => {
    value++;
    const client = await open();
    client.parse(filled(write));
    client.bind();
    client.execute();
    client.sync();
    await sleep(50);
    client.socket.end(frame('X'));
    expect(await ask(filled(check), rows)).toBe(rows);
  });

  test(`a transaction ${name} without COMMIT is not`, async () => {
    value++;
    const client = await open();
    client.query('BEGIN');
    await client.until('Z');
    client.query(filled(write));
    client.terminate();
    await sleep(1200);
    expect(await ask(filled(check), '0')).toBe('0');
  });

  test(`nor is a query ${name} of a client that has vanished`, async () => {
    value++;
    const client = await open();
    client.query(filled(write));
    await sleep(100);
    client.destroy();
    await sleep(1200);
    expect(await ask(filled(check), '0')).toBe('0');
  });
}

test('a goodbye in the middle of COPY data ends it', async () => {
  const client = await open();
  client.query('COPY items FROM STDIN');
  await client.until('G');
  client.copyData('100\t1\n');
  client.send(frame('X'));
  client.socket.end();
  await sleep(200);
  expect(await ask('SELECT count(*) FROM items WHERE id = 100', '0')).toBe('0');
});
