/*
 * Goal: whatever happens to shards, and whenever, each message of a client gets one answer: complete, or cut off
 * by one error, in a transaction status that fits; a client whose answers are one too many or one too few takes what
 * belongs to another statement for its own. Method: clients that do everything over several shards, each exchange with
 * a token of its own, while relays in front of two shards cut and stall connections. SHARDGATE_FAULTS_SECONDS looks
 * longer; a failure names its seed, SHARDGATE_FAULTS_SEED repeats from there.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Dice } from '../support/chaos-random.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { startRelay, type Relay } from '../support/relay.js';
import { connectPg } from '../support/scene.js';
import { dataShards } from '../support/two-phase-scene.js';
import { WireClient } from '../support/wire-client.js';
import { rowTexts, type WireMessage } from '../support/wire-messages.js';
import { typesOf } from '../support/wire-pair.js';

const SECONDS = Number(process.env['SHARDGATE_FAULTS_SECONDS'] ?? 6);
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
  relays = await Promise.all([startRelay(databases.urls.s1), startRelay(databases.urls.s2)]);
  const [s1, s2] = relays.map(({ url }) => `${url}?sslmode=disable`);
  const through = { ...databases, urls: { ...databases.urls, s1: s1!, s2: s2! } };
  const tables = { main: { lone: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } };
  proxy = await startProxy({
    config: clusterConfig(through, tables, {
      pool: { size: 3, queue_timeout: '1s', connect_timeout: '1s' },
      log: { level: 'warn' },
    }),
  });
  const client = await connectPg(proxy.url);
  await client.query('CREATE TABLE items (id int PRIMARY KEY, v text)');
  await client.query('CREATE TABLE lone (id int PRIMARY KEY, v text)');
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

function login(): Promise<WireClient> {
  return WireClient.login({ port: proxy.port, database: DATABASE });
}

/** What is sent, and how many CommandCompletes it gets where nothing goes wrong; every row begins with its token. */
interface Exchange {
  readonly completes: number;
  /** For people. */
  readonly what: string;
  send(client: WireClient, token: string): void;
}

function simple(completes: number, sqlOf: (token: string) => string): Exchange {
  return {
    completes,
    what: sqlOf('token'),
    send: (client, token) => client.query(sqlOf(token)),
  };
}

function pipeline(...sqls: readonly ((token: string) => string)[]): Exchange {
  return {
    completes: sqls.length,
    what: `pipeline of ${sqls.map((sqlOf) => sqlOf('token')).join('; ')}`,
    send: (client, token) => {
      for (const sqlOf of sqls) {
        client.parse(sqlOf(token));
        client.bind();
        client.describe('P');
        client.execute();
      }
      client.sync();
    },
  };
}

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
): string | null {
  const types = typesOf(messages).replace(/[NSA]/g, '');
  if (!/^[^EZ]*E?Z$/.test(types)) return `more than one answer: ${types}`;
  const completed = types.replace(/[^C]/g, '').length;
  if (types.includes('E') ? completed > completes : completed !== completes) {
    return `${completed} of ${completes} statements: ${types}`;
  }
  for (const message of messages) {
    const told = message.type === 'D' ? rowTexts(message)[0] : null;
    const isOwn =
      message.type === 'd' ? message.body.includes(token) : told === null || told === token;
    if (!isOwn) return `a row of ${told ?? message.body.toString()}`;
  }
  return null;
}

/** The status behind an answer that began in `before`. */
function statusProblem(messages: readonly WireMessage[], before: string): string | null {
  const status = messages.at(-1)!.body.toString();
  const failed = messages.some(({ type }) => type === 'E');
  const expected = before === 'I' ? 'I' : failed ? 'E' : 'T';
  return status === expected ? null : `status ${status} behind ${before}`;
}

class Worker {
  readonly problems: string[] = [];
  answers = 0;
  readonly #name: string;
  readonly #dice: Dice;
  #client: WireClient | null = null;
  #status = 'I';

  constructor(name: string, dice: Dice) {
    this.#name = name;
    this.#dice = dice;
  }

  async work(over: () => boolean): Promise<void> {
    while (!over() && this.problems.length === 0) {
      try {
        this.#client ??= await login();
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
      if (typesOf(messages) !== 'CZ') this.#report('BEGIN', messages);
      this.#status = 'T';
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

  #report(problem: string, messages: readonly WireMessage[]): void {
    const errors = messages.filter(({ type }) => type === 'E');
    const told = errors.map(({ body }) => body.toString().replaceAll('\0', ' ')).join(' | ');
    this.problems.push(`${this.#name}: ${problem} ${told}`);
  }
}

async function injectFaults(dice: Dice, over: () => boolean): Promise<number> {
  let faults = 0;
  for (; !over(); faults++) {
    const relay = dice.pick(relays);
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
