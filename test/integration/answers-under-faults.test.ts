/*
 * Goal: whatever happens to shards, and whenever, each message of a client gets one answer: complete, or cut off
 * by one error, in a transaction status that fits; a client whose answers are one too many or one too few takes what
 * belongs to another statement for its own. Method: clients that do everything over several shards, each exchange with
 * a token of its own, while relays in front of two shards cut and stall connections. SHARDGATE_FAULTS_SECONDS looks
 * longer, at more (below); a failure names its seed, SHARDGATE_FAULTS_SEED repeats from there. SHARDGATE_FAULTS_POOL is
 * the size of pools.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Dice } from '../support/chaos-random.js';
import { pipeline, simple, type Exchange } from '../support/fault-exchanges.js';
import { scriptOf } from '../support/fault-scripts.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { startRelay, type Relay } from '../support/relay.js';
import { connectPg } from '../support/scene.js';
import { dataShards } from '../support/two-phase-scene.js';
import { WireClient } from '../support/wire-client.js';
import { cancelRequest } from '../support/frontend-bytes.js';
import { rowTexts, type WireMessage } from '../support/wire-messages.js';
import { typesOf } from '../support/wire-pair.js';

/** Looking longer looks at more: what sessions keep, at main too, at servers that end connections, and cancels. */
const WIDE = process.env['SHARDGATE_FAULTS_SECONDS'] !== undefined;
const SECONDS = Number(process.env['SHARDGATE_FAULTS_SECONDS'] ?? 4);
const SEED = Number(process.env['SHARDGATE_FAULTS_SEED'] ?? Date.now() % 2 ** 31);
const DATABASE = 'answers_under_faults';
const CLIENTS = 8;
const KEYS = 40;
const ANSWER_MS = 30_000;

let databases: DatabaseSet;
let relays: Relay[];
let proxy: Proxy;

beforeAll(async () => {
  databases = await createDatabaseSet(DATABASE);
  const names = ['s1', 's2', 'main'] as const;
  relays = await Promise.all(names.map((name) => startRelay(databases.urls[name])));
  const [s1, s2, main] = relays.map(({ url }) => `${url}?sslmode=disable`);
  const through = { ...databases, urls: { ...databases.urls, s1: s1!, s2: s2!, main: main! } };
  const sharded = { shard_key: 'id', vindex: 'by_key' };
  const tables = {
    main: { lone: {}, lonelog: {}, numbers: { type: 'sequence' } },
    vindexes: {
      by_email: { type: 'lookup_unique', table: 'people_email_idx' },
      by_tenant: { type: 'directory', table: 'tenant_shards' },
    },
    shop: {
      items: sharded,
      moved: sharded,
      log: sharded,
      people: { ...sharded, lookups: { email: 'by_email' } },
      tenants: { shard_key: 'tenant', vindex: 'by_tenant' },
      flakes: { ...sharded, ids: { column: 'id', from: 'snowflake' } },
      numbered: { ...sharded, ids: { column: 'id', from: 'sequence', sequence: 'numbers' } },
    },
  };
  proxy = await startProxy({
    config: clusterConfig(through, tables, {
      pool: {
        size: Number(process.env['SHARDGATE_FAULTS_POOL'] ?? 3),
        queue_timeout: '1s',
        connect_timeout: '1s',
      },
      log: { level: 'warn' },
    }),
  });
  const client = await connectPg(proxy.url);
  await client.query('CREATE TABLE items (id int PRIMARY KEY, v text)');
  await client.query('CREATE TABLE lone (id int PRIMARY KEY, v text)');
  for (const sql of [
    'CREATE SEQUENCE numbers INCREMENT 50',
    'CREATE TABLE moved (id int PRIMARY KEY)',
    'CREATE TABLE log (id int, v text)',
    'CREATE TABLE lonelog (id int, v text)',
    'CREATE TABLE people (id int PRIMARY KEY, email text)',
    'CREATE TABLE tenants (tenant text, n int)',
    'CREATE TABLE flakes (id bigint PRIMARY KEY, v text)',
    'CREATE TABLE numbered (id bigint PRIMARY KEY, v text)',
    'INSERT INTO moved SELECT generate_series(0, 40)',
  ]) {
    await client.query(sql);
  }
  const rows = Array.from({ length: KEYS }, (_, id) => `(${id}, 'old')`);
  for (const table of ['items', 'lone']) {
    await client.query(`INSERT INTO ${table} VALUES ${rows.join()}`);
  }
  await client.end();
});
afterAll(async () => {
  await proxy.stop();
  await Promise.all(relays.map((relay) => relay.close()));
  await databases.drop();
});

const all = (token: string): string => `SELECT '${token}', v FROM items`;
const sorted = (token: string): string => `SELECT '${token}', id FROM items ORDER BY id DESC`;
const joined = (token: string): string =>
  `SELECT '${token}', count(*) FROM items a JOIN lone b ON a.v <> b.v`;
const write = (): string => 'UPDATE items SET v = v';
const returning = (token: string): string => `UPDATE items SET v = v RETURNING '${token}', id`;
const unsharded = (token: string): string => `UPDATE lone SET v = v RETURNING '${token}'`;

function exchangeOf(dice: Dice): Exchange {
  const id = dice.below(KEYS);
  const one = (token: string): string => `SELECT '${token}', v FROM items WHERE id = ${id}`;
  const change = (token: string): string =>
    `UPDATE items SET v = v WHERE id = ${id} RETURNING '${token}'`;
  const any = [one, change, all, sorted, joined, write, returning, unsharded];
  const [first, second] = [dice.pick(any), dice.pick(any)];
  return dice.pick([
    simple(1, first),
    simple(1, first),
    simple(2, (token) => `${first(token)}; ${second(token)}`),
    pipeline(first),
    pipeline(first, second),
    pipeline(one, first, second),
    simple(1, (token) => `COPY (${sorted(token)}) TO STDOUT`),
  ]);
}

const COPY_ROWS = 200;

/** Rows of COPY are sent where it is ready for them. */
async function copy(client: WireClient, table: string): Promise<WireMessage[]> {
  client.query(`COPY ${table} FROM STDIN`);
  const messages: WireMessage[] = [];
  while (messages.at(-1)?.type !== 'Z') {
    const message = await client.next(ANSWER_MS);
    if (message.type === 'G') {
      // They violate the primary key, at the end or on the way.
      for (let row = 0; row < COPY_ROWS; row++) client.copyData(`${row}\tcopied\n`);
      client.copyDone();
    } else messages.push(message);
  }
  return messages;
}

/** Null: such an answer may come. */
function problemOf(
  messages: readonly WireMessage[],
  completes: number,
  token: string,
  untold = false,
): string | null {
  const types = typesOf(messages).replace(/[NSA]/g, '');
  if (!/^[^EZ]*E?Z$/.test(types)) return `more than one answer: ${types}`;
  const completed = types.replace(/[^Cs]/g, '').length;
  if (types.includes('E') ? completed > completes : completed !== completes) {
    return `${completed} of ${completes} statements: ${types}`;
  }
  for (const message of untold ? [] : messages) {
    const told = message.type === 'D' ? rowTexts(message)[0] : null;
    const isOwn =
      message.type === 'd' ? message.body.includes(token) : told === null || told === token;
    if (!isOwn) return `a row of ${told ?? message.body.toString()}`;
  }
  return null;
}

/** The status behind an answer that began in `before`. */
function statusProblem(
  messages: readonly WireMessage[],
  before: string,
  { leaves, leavesFailed }: Pick<Exchange, 'leaves' | 'leavesFailed'> = {},
): string | null {
  const status = messages.at(-1)!.body.toString();
  const failed = messages.some(({ type }) => type === 'E');
  const expected = failed
    ? (leavesFailed ?? (before === 'I' ? 'I' : 'E'))
    : (leaves ?? (before === 'I' ? 'I' : 'T'));
  return expected.includes(status) ? null : `status ${status} behind ${before}`;
}

class Worker {
  readonly problems: string[] = [];
  answers = 0;
  readonly #name: string;
  readonly #dice: Dice;
  #client: WireClient | null = null;
  #status = 'I';
  #key: Buffer | null = null;
  #fresh = true;

  constructor(name: string, dice: Dice) {
    this.#name = name;
    this.#dice = dice;
  }

  async work(over: () => boolean): Promise<void> {
    while (!over() && this.problems.length === 0) {
      try {
        this.#client ??= await this.#login();
        await this.#step(this.#client, `${this.#name}-${++this.answers}`);
      } catch (error) {
        if (!String(error).includes('closed')) {
          this.problems.push(`${this.#name}: ${String(error)}`);
          return;
        }
        // Cut off in the middle of a row.
        this.#client?.destroy();
        this.#client = null;
        this.#status = 'I';
      }
    }
    this.#client?.destroy();
  }

  async #step(client: WireClient, token: string): Promise<void> {
    const dice = this.#dice;
    if (this.#status === 'E' || (this.#status === 'T' && dice.chance(0.3))) {
      const ends = this.#status === 'E' || dice.chance(0.5) ? 'ROLLBACK' : 'COMMIT';
      client.query(ends);
      const messages = await client.until('Z', ANSWER_MS);
      const problem = problemOf(messages, 1, token) ?? statusProblem(messages, 'I');
      if (problem !== null) this.#report(`${ends} (${this.#status}): ${problem}`, messages);
      this.#status = 'I';
      return;
    }
    if (this.#status === 'I' && dice.chance(0.4)) {
      client.query('BEGIN');
      const messages = await client.until('Z', ANSWER_MS);
      if (typesOf(messages).replace(/[NSA]/g, '') !== 'CZ') this.#report('BEGIN', messages);
      this.#status = 'T';
      return;
    }
    if (WIDE && dice.chance(0.6)) {
      await this.#script(client, token);
      return;
    }
    const copies = dice.chance(0.15);
    const exchange = exchangeOf(dice);
    if (!copies) exchange.send(client, token);
    const messages = copies
      ? await copy(client, dice.pick(['items', 'lone']))
      : await client.until('Z', ANSWER_MS);
    const problem =
      problemOf(messages, copies ? 1 : exchange.completes, token) ??
      statusProblem(messages, this.#status);
    const what = `${copies ? 'COPY' : exchange.what} (${this.#status})`;
    if (problem !== null) this.#report(`${what}: ${problem}`, messages);
    this.#status = messages.at(-1)!.body.toString();
  }

  async #script(client: WireClient, token: string): Promise<void> {
    const script = scriptOf(this.#dice, this.#status === 'T', this.#fresh);
    this.#fresh = false;
    for (const exchange of script) {
      exchange.send(client, token);
      if (this.#dice.chance(0.05)) this.#cancel();
      if (this.#dice.chance(0.02)) {
        client.destroy();
        throw new Error('closed by itself');
      }
      const messages = await client.until('Z', ANSWER_MS);
      this.answers++;
      const problem =
        problemOf(messages, exchange.completes, token, exchange.untold) ??
        statusProblem(messages, this.#status, exchange);
      if (problem !== null) {
        this.#report(`${exchange.what} (${this.#status}): ${problem}`, messages);
        return;
      }
      this.#status = messages.at(-1)!.body.toString();
      if (messages.some(({ type }) => type === 'E')) return;
    }
  }

  #cancel(): void {
    const key = this.#key!;
    void sleep(this.#dice.between(0, 30)).then(async () => {
      const canceller = await WireClient.open({ port: proxy.port }).catch(() => null);
      canceller?.send(cancelRequest(key));
      await canceller?.closed().catch(() => undefined);
    });
  }

  async #login(): Promise<WireClient> {
    const client = await WireClient.open({ port: proxy.port });
    client.startup({ port: proxy.port, database: DATABASE });
    const messages = await client.until('Z', ANSWER_MS);
    this.#key = messages.find(({ type }) => type === 'K')!.body;
    this.#fresh = true;
    this.#status = 'I';
    return client;
  }

  #report(problem: string, messages: readonly WireMessage[]): void {
    const errors = messages.filter(({ type }) => type === 'E');
    const told = errors.map(({ body }) => body.toString().replaceAll('\0', ' ')).join(' | ');
    this.problems.push(`${this.#name}: ${problem} ${told}`);
  }
}

async function injectFaults(dice: Dice, over: () => boolean): Promise<number> {
  let faults = 0;
  for (; !over(); faults++) {
    const relay = dice.pick(WIDE ? relays : relays.slice(0, 2));
    await sleep(dice.between(5, 120));
    const stalls = dice.chance(0.6);
    if (stalls) {
      relay.setFlowing(false);
      await sleep(dice.between(5, 150));
    }
    if (!stalls || dice.chance(0.6)) {
      relay.setOpen(false);
      await sleep(dice.between(0, 60));
    }
    relay.setFlowing(true);
    relay.setOpen(true);
    if (WIDE && dice.chance(0.15)) {
      const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname =
        current_database() AND pid <> pg_backend_pid() AND random() < 0.4`;
      await databases.query(dice.pick(['main', 's0', 's1', 's2', 's3']), sql);
    }
  }
  return faults;
}

test(
  `each message has one answer while shards are lost for ${SECONDS} s (seed ${SEED})`,
  async () => {
    const dice = new Dice(SEED);
    const end = Date.now() + SECONDS * 1000;
    const over = (): boolean => Date.now() > end;
    const workers = Array.from(
      { length: CLIENTS },
      (_, i) => new Worker(`client-${i}`, new Dice(SEED + i + 1)),
    );
    const [faults] = await Promise.all([
      injectFaults(dice, over),
      ...workers.map((worker) => worker.work(over)),
    ]);
    const answers = workers.reduce((sum, worker) => sum + worker.answers, 0);
    console.log(
      `answers under faults: SHARDGATE_FAULTS_SEED=${SEED}, ${answers} after ${faults} faults`,
    );
    expect(workers.flatMap(({ problems }) => problems)).toEqual([]);
    expect(proxy.logs()).not.toContain('session failed');
    expect(answers).toBeGreaterThan(20);
    // All backends come back, and nothing stays prepared.
    await expect.poll(busyBackends, { timeout: 20_000 }).toBe(0);
    await expect.poll(preparedCount, { timeout: 30_000 }).toBe(0);
  },
  SECONDS * 1000 + 120_000,
);

async function busyBackends(): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${proxy.httpPort}/metrics`);
  const counts = (await answer.text()).matchAll(/^shardgate_pool_active\S* (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

async function preparedCount(): Promise<number> {
  const sql = 'SELECT count(*)::int FROM pg_prepared_xacts WHERE database = current_database()';
  const counts = await Promise.all(dataShards.map((shard) => databases.query(shard, sql)));
  return counts.reduce((sum, [row]) => sum + (row![0] as number), 0);
}
