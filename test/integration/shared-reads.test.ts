/*
 * Reads of several clients that go to one backend in one write. The proxy is stopped while the clients send, so that
 * it finds all of their statements in one turn of its event loop; a transaction left open keeps its pool busy.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import { shardNames } from '../support/servers.js';
import { WireClient } from '../support/wire-client.js';
import {
  errorFields,
  frame,
  int32,
  rowTexts,
  texts,
  type WireMessage,
} from '../support/wire-messages.js';

const CLIENTS = 12;
const PATIENCE_MS = 3000;

let scene: Scene;
let holder: WireClient;
let clients: WireClient[];
const keys = new Map<WireClient, Buffer>();

beforeAll(async () => {
  scene = await openScene(
    'batches',
    {
      shop: {
        items: { shard_key: 'tenant' },
        locked: { shard_key: 'tenant' },
        wider: { shard_key: 'tenant' },
      },
    },
    [
      'CREATE TABLE items (tenant int8, n int4, PRIMARY KEY (tenant, n))',
      'CREATE TABLE locked (tenant int8 PRIMARY KEY, n int4)',
      'CREATE TABLE wider (tenant int8 PRIMARY KEY, n int4)',
      'INSERT INTO wider VALUES (7, 70)',
      'INSERT INTO items SELECT 7, n FROM generate_series(1, 100) n',
      'INSERT INTO locked VALUES (7, 70)',
    ],
    { pool: { size: 6 } },
  );
});
afterAll(() => scene.close());

async function login(): Promise<WireClient> {
  const { port } = scene.proxy;
  const client = await WireClient.open({ port });
  const parameters = { options: '-c statement_timeout=7s' };
  client.startup({ port, database: 'batches', parameters });
  const greeting = await client.until('Z');
  keys.set(client, greeting.find(({ type }) => type === 'K')!.body);
  return client;
}

beforeEach(async () => {
  holder = await login();
  clients = [];
  for (let i = 0; i < CLIENTS; i++) clients.push(await login());
  holder.query('BEGIN');
  await holder.until('Z');
  holder.query('SELECT FROM items WHERE tenant = 7');
  await holder.until('Z');
  for (const client of clients) {
    client.parse('SELECT n FROM items WHERE tenant = $1 AND n = $2', 'by_n');
    client.sync();
    client.query('SELECT n FROM items WHERE tenant = 7 AND n = 1');
    await client.until('Z');
    await client.until('Z');
  }
});
afterEach(() => {
  for (const client of [holder, ...clients]) client.socket.destroy();
});

/** Everything is sent before the proxy sees any of it. */
async function together(send: () => void): Promise<void> {
  const { proxy } = scene;
  proxy.signal('SIGSTOP');
  try {
    send();
    await sleep(20);
  } finally {
    proxy.signal('SIGCONT');
  }
}

/** The sum of a metric over all shards. */
async function metric(name: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${scene.proxy.httpPort}/metrics`);
  const counts = (await answer.text()).matchAll(/^shardgate_(\w+)\S* (\d+)$/gm);
  return [...counts].reduce((sum, [, key, count]) => sum + (key === name ? Number(count) : 0), 0);
}

function batched(): Promise<number> {
  return metric('batched_statements_total');
}

/** Those in line while all backends are taken, once all of them wait. */
async function inLine(send: (client: WireClient, i: number) => void): Promise<WireClient[]> {
  for (const client of clients.slice(0, 5)) {
    client.query('BEGIN; SELECT FROM items WHERE tenant = 7');
    await client.until('Z');
  }
  const line = clients.slice(5);
  line.forEach((client, i) => send(client, i));
  await waiting(line.length);
  return line;
}

async function waiting(count: number): Promise<void> {
  await expect.poll(() => metric('pool_waiting'), { timeout: 10_000 }).toBe(count);
}

/** Gives back one of the backends that `inLine` has taken. */
async function giveBack(): Promise<void> {
  clients[0]!.query('COMMIT');
  await clients[0]!.until('Z');
}

function cancel(client: WireClient): void {
  const { port } = scene.proxy;
  void WireClient.open({ port }).then((canceller) => {
    canceller.send(frame('', int32(80877102), keys.get(client)!));
  });
}

function rowOf(messages: readonly WireMessage[]): string | null {
  const row = messages.find(({ type }) => type === 'D');
  return row === undefined ? null : rowTexts(row)[0]!;
}

function codeOf(messages: readonly WireMessage[]): string | undefined {
  const error = messages.find(({ type }) => type === 'E');
  return error === undefined ? undefined : errorFields(error)['C'];
}

/** Somebody waits for a lock on the table until this is ended. */
async function lockTable(): Promise<WireClient> {
  const locker = await login();
  locker.query('BEGIN; LOCK TABLE locked');
  const answer = await locker.until('Z');
  expect(codeOf(answer)).toBeUndefined();
  return locker;
}

async function unlock(locker: WireClient): Promise<void> {
  locker.query('ROLLBACK');
  await locker.until('Z');
  locker.socket.destroy();
}

const FAST = (n: number): string => `SELECT n FROM items WHERE tenant = 7 AND n = ${n}`;
const SLOW = 'SELECT n FROM locked WHERE tenant = 7';

test('simple queries: each client gets its own answer', async () => {
  const before = await batched();
  for (let round = 0; round < 5; round++) {
    await together(() => clients.forEach((client, i) => client.query(FAST(10 * round + i + 1))));
    for (const [i, client] of clients.entries()) {
      const answer = await client.until('Z');
      expect(texts(answer.at(-1)!)).toBeDefined();
      expect(answer.map(({ type }) => type).join('')).toBe('TDCZ');
      expect(rowOf(answer)).toBe(String(10 * round + i + 1));
    }
  }
  expect(await batched()).toBeGreaterThan(before + 20);
});

test('pipelines of every shape, and errors of one client in their middle', async () => {
  const before = await batched();
  for (let round = 0; round < 5; round++) {
    await together(() => {
      for (const [i, client] of clients.entries()) {
        const values = ['7', String(i + 1)];
        const fails = i % 5 === 3;
        if (i % 4 === 0) client.query(FAST(i + 1));
        else if (i % 4 === 1) {
          client.parse('SELECT n FROM items WHERE tenant = $1 AND n = $2');
          client.bind({ values });
          client.describe('P');
          client.execute();
          client.sync();
        } else if (fails) {
          client.parse('SELECT n / (n - n) FROM items WHERE tenant = $1 AND n = $2');
          client.bind({ values });
          client.execute();
          client.sync();
        } else {
          client.bind({ statement: 'by_n', values });
          client.execute();
          client.sync();
        }
      }
    });
    for (const [i, client] of clients.entries()) {
      const answer = await client.until('Z');
      const types = answer.map(({ type }) => type).join('');
      if (i % 4 === 0) expect(types).toBe('TDCZ');
      else if (i % 4 === 1) expect(types).toBe('12TDCZ');
      else if (i % 5 === 3) expect([types, codeOf(answer)]).toEqual(['12EZ', '22012']);
      else expect(types).toBe('2DCZ');
      if (!types.includes('E')) expect(rowOf(answer)).toBe(String(i + 1));
    }
  }
  expect(await batched()).toBeGreaterThan(before + 20);
});

test.each(['simple', 'extended'])(
  'those that wait for a backend share it (%s)',
  async (protocol) => {
    const before = await batched();
    const line = await inLine((client, i) => {
      // A transaction in their midst needs the backend for itself.
      if (protocol === 'simple') {
        client.query(i === 3 ? `BEGIN; ${FAST(i + 1)}; COMMIT` : FAST(i + 1));
        return;
      }
      client.parse('SELECT n FROM items WHERE tenant = $1 AND n = $2');
      client.bind({ values: ['7', String(i + 1)] });
      client.execute();
      client.sync();
    });
    await giveBack();
    for (const [i, client] of line.entries()) {
      expect(rowOf(await client.until('Z'))).toBe(String(i + 1));
    }
    // Whose messages come in several reads goes by itself.
    expect(await batched()).toBeGreaterThan(before + 3);
  },
);

test('those that vanish from the line, or are cancelled in it, keep nobody waiting', async () => {
  const line = await inLine((client, i) => client.query(FAST(i + 1)));
  cancel(line[2]!);
  expect(codeOf(await line[2]!.until('Z'))).toBe('57014');
  line[4]!.socket.destroy();
  await waiting(5);
  await giveBack();
  for (const i of [0, 1, 3, 5, 6]) expect(rowOf(await line[i]!.until('Z'))).toBe(String(i + 1));
});

test('a Parse that fails fails for its own client only', async () => {
  await together(() => {
    for (const [i, client] of clients.entries()) {
      client.parse(
        `SELECT ${i % 3 === 1 ? 'nothing' : 'n'} FROM items WHERE tenant = 7 AND n = $1`,
      );
      client.bind({ values: [String(i + 1)] });
      client.execute();
      client.sync();
    }
  });
  for (const [i, client] of clients.entries()) {
    const answer = await client.until('Z');
    if (i % 3 === 1) expect(codeOf(answer)).toBe('42703');
    else expect(rowOf(answer)).toBe(String(i + 1));
  }
});

test('a text without a name that comes often is parsed once, until its columns change', async () => {
  const round = async (): Promise<string[]> => {
    await together(() => {
      for (const client of clients) {
        client.parse('SELECT * FROM wider WHERE tenant = $1');
        client.bind({ values: ['7'] });
        client.describe('P');
        client.execute();
        client.sync();
      }
    });
    const answers: string[] = [];
    for (const client of clients) {
      const answer = await client.until('Z');
      const rows = answer.filter(({ type }) => type === 'D').map(rowTexts);
      answers.push(`${answer.map(({ type }) => type).join('')} ${JSON.stringify(rows)}`);
    }
    return [...new Set(answers)];
  };
  const before = await metric('prepared_statements_total');
  for (let i = 0; i < 6; i++) expect(await round()).toEqual(['12TDCZ [["7","70"]]']);
  expect(await metric('prepared_statements_total')).toBeGreaterThan(before + 20);
  for (const shard of shardNames) {
    await scene.databases.query(shard, 'ALTER TABLE wider ADD more int4 DEFAULT 1');
  }
  for (let i = 0; i < 3; i++) expect(await round()).toEqual(['12TDCZ [["7","70","1"]]']);
});

/** All but the slow ones are answered while these still wait. */
async function othersAnswered(slow: readonly number[]): Promise<void> {
  const from = Date.now();
  for (const [i, client] of clients.entries()) {
    if (slow.includes(i)) continue;
    expect(rowOf(await client.until('Z'))).toBe(String(i + 1));
  }
  expect(Date.now() - from).toBeLessThan(PATIENCE_MS);
}

test.each(['simple', 'extended'])('a slow one keeps nobody waiting (%s)', async (protocol) => {
  const locker = await lockTable();
  const slow = [1, 4];
  await together(() => {
    for (const [i, client] of clients.entries()) {
      const sql = slow.includes(i) ? SLOW : FAST(i + 1);
      if (protocol === 'simple') client.query(sql);
      else {
        client.parse(sql);
        client.bind();
        client.execute();
        client.sync();
      }
    }
  });
  await othersAnswered(slow);
  await unlock(locker);
  for (const i of slow) {
    const answer = await clients[i]!.until('Z');
    const types = answer.map(({ type }) => type).join('');
    expect(types).toBe(protocol === 'simple' ? 'TDCZ' : '12DCZ');
    expect(rowOf(answer)).toBe('70');
  }
});

test('a pipeline that runs again undoes what stood in front of its statement', async () => {
  const locker = await lockTable();
  await together(() => {
    for (const client of clients) {
      client.parse('SET statement_timeout = 0');
      client.bind();
      client.execute();
      client.parse('SELECT 1 / (n - 70) FROM locked WHERE tenant = 7');
      client.bind();
      client.execute();
      client.sync();
    }
  });
  await sleep(150);
  await unlock(locker);
  for (const client of clients) {
    expect(codeOf(await client.until('Z'))).toBe('22012');
    client.query('SHOW statement_timeout');
    expect(rowOf(await client.until('Z'))).toBe('7s');
  }
});

test('a LISTEN in front of a read takes effect with its Sync', async () => {
  const client = clients[0]!;
  client.parse('LISTEN news');
  client.bind();
  client.execute();
  client.bind({ statement: 'by_n', values: ['7', '2'] });
  client.execute();
  client.sync();
  expect((await client.until('Z', PATIENCE_MS)).map(({ type }) => type).join('')).toBe('12C2DCZ');
  client.query("NOTIFY news, 'heard'");
  expect((await client.until('Z', PATIENCE_MS)).map(({ type }) => type).join('')).toBe('CAZ');
});

test('a client that does not read keeps nobody waiting, and gets all of its answer', async () => {
  const reader = clients[1]!;
  reader.socket.pause();
  await together(() => {
    for (const [i, client] of clients.entries()) {
      const wide = "SELECT repeat('x', 12000000) FROM items WHERE tenant = 7 AND n = 2";
      client.query(i === 1 ? wide : FAST(i + 1));
    }
  });
  await othersAnswered([1]);
  reader.socket.resume();
  expect(rowOf(await reader.until('Z'))?.length).toBe(12_000_000);
});

test('a cancel reaches the statement of its own client only', async () => {
  const locker = await lockTable();
  const slow = [1, 2, 3];
  await together(() => {
    for (const [i, client] of clients.entries())
      client.query(slow.includes(i) ? SLOW : FAST(i + 1));
  });
  cancel(clients[2]!);
  expect(codeOf(await clients[2]!.until('Z'))).toBe('57014');
  cancel(clients[1]!);
  expect(codeOf(await clients[1]!.until('Z'))).toBe('57014');
  await othersAnswered(slow);
  await unlock(locker);
  expect(rowOf(await clients[3]!.until('Z'))).toBe('70');
});

test('clients that vanish leave the others their answers, and no backend behind', async () => {
  const locker = await lockTable();
  const gone = [1, 2, 5];
  await together(() => {
    for (const [i, client] of clients.entries())
      client.query(gone.includes(i) ? SLOW : FAST(i + 1));
  });
  for (const i of gone) clients[i]!.socket.destroy();
  await othersAnswered(gone);
  await unlock(locker);
  for (let round = 0; round < 3; round++) {
    const living = clients.filter((_, i) => !gone.includes(i));
    await together(() => living.forEach((client) => client.query(FAST(3))));
    for (const client of living) expect(rowOf(await client.until('Z'))).toBe('3');
  }
});

test('a backend that breaks off in the middle fails the statement that it runs only', async () => {
  const locker = await lockTable();
  await together(() => {
    for (const [i, client] of clients.entries()) client.query(i === 1 ? SLOW : FAST(i + 1));
  });
  await othersAnswered([1]);
  let killed = 0;
  for (const shard of shardNames) {
    const direct = await connectPg(scene.databases.urls[shard]);
    const { rowCount } = await direct.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1 AND wait_event_type = 'Lock'",
      [SLOW],
    );
    killed += rowCount!;
    await direct.end();
  }
  expect(killed).toBe(1);
  expect(codeOf(await clients[1]!.until('Z'))).toMatch(/^(57P01|08006)$/);
  await unlock(locker);
  clients[1]!.query(FAST(2));
  expect(rowOf(await clients[1]!.until('Z'))).toBe('2');
});

test('settings and transactions stay with their own client', async () => {
  clients[0]!.query("SET extra_float_digits = 0; SET TimeZone = 'Asia/Tokyo'");
  await clients[0]!.until('Z');
  clients[1]!.query('BEGIN');
  await clients[1]!.until('Z');
  const sql = "SELECT current_setting('TimeZone') FROM items WHERE tenant = 7 AND n = 1";
  for (let round = 0; round < 3; round++) {
    await together(() => clients.forEach((client) => client.query(sql)));
    for (const [i, client] of clients.entries()) {
      const answer = await client.until('Z');
      expect(rowOf(answer) === 'Asia/Tokyo').toBe(i === 0);
      expect(answer.at(-1)!.body.toString()).toBe(i === 1 ? 'T' : 'I');
    }
  }
});
