import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { cancelRequest } from './chaos-sessions.js';
import { startMortalServers, type MortalServer } from './chaos-servers.js';
import { untilAtRest, type ShardQuery } from './chaos-watch.js';
import { startProxy, type Proxy } from './proxy.js';
import { connectPg } from './scene.js';
import { WireClient } from './wire-client.js';
import { errorFields, type WireMessage } from './wire-messages.js';

const DATABASE = 'select_chaos';
const NAMES = ['main', 's0', 's1'] as const;
type Name = (typeof NAMES)[number];

const ROWS = 40_000;
/** With this much text, a table is some 16 MB: far more than all buffers between client and shard. */
const PAD = 'x'.repeat(400);
/** How many rows share a `k`; joined on it, they take a server many seconds. */
const DISTINCT_K = 10;
const AT_REST_MS = 10_000;
const SOON_MS = 15_000;

/** Two shards and an unsharded server that may be killed, with two large tables. */
export interface ChaosScene {
  readonly proxy: Proxy;
  /** A row of `big` of each shard. */
  readonly idOn: Readonly<Record<'s0' | 's1', number>>;
  client(): Promise<ChaosSession>;
  /** At once, and back soon. */
  killAndRestart(name: Name): Promise<void>;
  /** Holds a table of a server, so that whoever reads it there waits; until called. */
  lock(name: Name, table: string): Promise<() => Promise<void>>;
  /** Resolves when somebody waits for such a lock. */
  untilWaiting(name: Name): Promise<void>;
  /** The one server that is at work, which is where a gathered statement ends. */
  untilOneWorks(): Promise<Name>;
  /** Fails where a backend is still busy or leased, or a temporary table is left. */
  untilAtRest(): Promise<void>;
  close(): Promise<void>;
}

export async function openChaosScene(): Promise<ChaosScene> {
  const mortal = await startMortalServers(NAMES);
  const server = (name: Name): MortalServer => mortal.servers.find((one) => one.name === name)!;
  const queries = {} as Record<Name, ShardQuery>;
  for (const name of NAMES) {
    await queryOf(server(name).url('postgres'))(`CREATE DATABASE ${DATABASE}`);
    queries[name] = queryOf(server(name).url(DATABASE));
  }
  const proxy = await startProxy({ config: configOf((name) => server(name).url(DATABASE)) });
  const loader = await connectPg(proxy.url);
  for (const table of ['big', 'large']) {
    await loader.query(`CREATE TABLE ${table} (id int8 PRIMARY KEY, k int4, pad text)`);
    await pipeline(Readable.from(lines()), loader.query(copyFrom(`COPY ${table} FROM STDIN`)));
  }
  await loader.end();
  for (const name of NAMES) await queries[name]('ANALYZE');
  const idOn = { s0: await firstId(queries.s0), s1: await firstId(queries.s1) };
  return {
    proxy,
    idOn,
    client: () => ChaosSession.open(proxy.port),
    killAndRestart: async (name) => {
      await server(name).kill();
      void server(name).restart();
    },
    lock: (name, table) => lock(server(name).url(DATABASE), table),
    untilWaiting: (name) => untilWaiting(queries[name]),
    untilOneWorks: () => untilOneWorks(queries),
    untilAtRest: async () => {
      await untilAtRest(proxy, queries, AT_REST_MS);
      for (const name of NAMES) {
        const left = await queries[name](`SELECT relname FROM pg_class WHERE relpersistence = 't'`);
        if (left.length > 0) throw new Error(`temporary tables on ${name}: ${left.join(', ')}`);
      }
    },
    close: async () => {
      await proxy.stop();
      await mortal.stop();
    },
  };
}

function configOf(
  url: (name: Name) => string,
): Record<string, unknown> & { readonly database: string } {
  const sharded = { shard_key: 'id', vindex: 'by_key' };
  return {
    database: DATABASE,
    auth: { method: 'trust', users: [{ name: 'postgres', role: 'admin' }] },
    default_keyspace: 'main',
    pool: { size: 5, connect_timeout: '1s', queue_timeout: '3s' },
    log: { level: 'warn' },
    keyspaces: {
      main: { shards: [{ name: 'main', primary: url('main') }] },
      shop: {
        vindexes: { by_key: { type: 'hash' } },
        shards: [
          { name: 's0', range: '-80', primary: url('s0') },
          { name: 's1', range: '80-', primary: url('s1') },
        ],
        tables: { big: sharded, large: sharded },
      },
    },
  };
}

function* lines(): Generator<string> {
  const block = 200;
  for (let first = 0; first < ROWS; first += block) {
    const rows = Array.from({ length: block }, (_, i) => {
      return `${first + i}\t${(first + i) % DISTINCT_K}\t${PAD}\n`;
    });
    yield rows.join('');
  }
}

async function firstId(query: ShardQuery): Promise<number> {
  return Number((await query('SELECT min(id) FROM big'))[0]![0]);
}

/** Each on a connection of its own; a server that is starting is asked again. */
function queryOf(url: string): ShardQuery {
  return async (sql) => {
    for (const deadline = Date.now() + SOON_MS; ;) {
      const client = new pg.Client({ connectionString: url });
      client.on('error', () => undefined);
      try {
        await client.connect();
        return (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await sleep(100);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  };
}

async function lock(url: string, table: string): Promise<() => Promise<void>> {
  const holder = await connectPg(url);
  await holder.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  return async () => {
    await holder.end().catch(() => undefined);
  };
}

/** Backends of clients other than the asking one. */
const OTHERS = `FROM pg_stat_activity WHERE backend_type = 'client backend'
  AND datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'`;

async function untilWaiting(query: ShardQuery): Promise<void> {
  await until('somebody waits for the lock', async () => {
    const waiting = await query(`SELECT 1 ${OTHERS} AND wait_event_type = 'Lock'`);
    return waiting.length > 0 ? true : null;
  });
}

async function untilOneWorks(queries: Readonly<Record<Name, ShardQuery>>): Promise<Name> {
  let before: Name | null = null;
  return until('one server works alone', async () => {
    const working: Name[] = [];
    for (const name of NAMES) {
      const found = await queries[name](`SELECT 1 ${OTHERS} AND now() - query_start > '0.3 s'`);
      if (found.length > 0) working.push(name);
    }
    const only = working.length === 1 ? working[0]! : null;
    const sure = only !== null && only === before;
    before = only;
    return sure ? only : null;
  });
}

async function until<T>(what: string, look: () => Promise<T | null>): Promise<T> {
  for (const deadline = Date.now() + SOON_MS; ;) {
    const found = await look();
    if (found !== null) return found;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${SOON_MS} ms`);
    await sleep(100);
  }
}

/** How a statement ended: its SQLSTATE, or null and its rows. */
export interface Ending {
  readonly state: string | null;
  readonly message: string;
  readonly rows: number;
}

/** A client that can be cancelled, stopped in the middle of an answer, and cut off. */
export class ChaosSession {
  readonly wire: WireClient;
  readonly #port: number;
  readonly #pid: number;
  readonly #secret: Buffer;

  private constructor(wire: WireClient, port: number, key: Buffer) {
    this.wire = wire;
    this.#port = port;
    this.#pid = key.readInt32BE(0);
    this.#secret = key.subarray(4);
  }

  static async open(port: number): Promise<ChaosSession> {
    const wire = await WireClient.open({ port });
    wire.startup({ port, database: DATABASE });
    const key = (await wire.until('Z')).find(({ type }) => type === 'K')!.body;
    return new ChaosSession(wire, port, key);
  }

  async run(sql: string): Promise<Ending> {
    this.wire.query(sql);
    return this.ending();
  }

  /** Starts a statement and stops reading behind its first row. */
  async startReading(sql: string): Promise<void> {
    this.wire.query(sql);
    await this.wire.until('D', SOON_MS);
    this.wire.socket.pause();
    // Until the proxy's and the shards' buffers are full.
    await sleep(500);
  }

  goOn(): void {
    this.wire.socket.resume();
  }

  /** The rest of a statement's answer. */
  async ending(): Promise<Ending> {
    const messages = await this.wire.until('Z', SOON_MS);
    const error = messages.find(({ type }) => type === 'E');
    const fields = error === undefined ? {} : errorFields(error);
    const rows = messages.filter(({ type }: WireMessage) => type === 'D').length;
    return { state: fields['C'] ?? null, message: fields['M'] ?? '', rows };
  }

  async cancel(): Promise<void> {
    const other = await WireClient.open({ port: this.#port });
    other.send(cancelRequest(this.#pid, this.#secret));
    await other.closed();
  }

  close(): void {
    this.wire.terminate();
  }
}
