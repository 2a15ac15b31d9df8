import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createDatabaseSet, type DatabaseSet } from './cluster.js';
import { clusterConfig, type ProxyConfig } from './proxy-config.js';
import { startProxy, type Proxy } from './proxy.js';
import { shardNames, type ServerName } from './servers.js';

/** The shards of the sharded keyspace. */
export const dataShards = ['s0', 's1', 's2', 's3'] as const;
export type DataShard = (typeof dataShards)[number];

export interface TwoPhaseScene {
  readonly databases: DatabaseSet;
  readonly config: ProxyConfig;
  /** An `items.id` of each shard. */
  readonly ids: Readonly<Record<DataShard, number>>;
  /** A proxy on the scene's shards; recovery looks at once at what is older than 0.3 s, unless `env` says otherwise. */
  startProxy(env?: Readonly<Record<string, string>>, config?: ProxyConfig): Promise<Proxy>;
  /** Shards that hold rows of a batch. */
  shardsWith(batch: string): Promise<ServerName[]>;
  /** Names of transactions that are prepared now, on all shards. */
  prepared(): Promise<string[]>;
  /** Waits until nothing is prepared any more. */
  untilNothingIsPrepared(): Promise<void>;
  /** Decisions on all shards: outcome by key. */
  decisions(): Promise<Map<string, string>>;
  close(): Promise<void>;
}

const RECOVERY_MS = 20_000;

const tables = `
CREATE TABLE items (id int8, slot int4, batch text, UNIQUE (id, slot) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE accounts (id int8 PRIMARY KEY, balance int8 NOT NULL);
CREATE TABLE transfers (account int8, transfer text, PRIMARY KEY (account, transfer));
`;

/**
 * Triggers that fire at the end of a transaction. Only on the shards that hold the rows: Shardgate would refuse to
 * write to the table if it knew.
 */
const triggers = `
CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN PERFORM pg_sleep(0.7); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.batch LIKE 'slow%') EXECUTE FUNCTION be_slow();

CREATE FUNCTION use_temp() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN CREATE TEMP TABLE IF NOT EXISTS scratch (); RETURN NULL; END';
CREATE TRIGGER temp AFTER INSERT ON items
  FOR EACH ROW WHEN (NEW.batch LIKE 'temp%' AND NEW.slot = 1) EXECUTE FUNCTION use_temp();

CREATE FUNCTION speak() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN RAISE NOTICE ''% on %'', NEW.batch, NEW.slot; RETURN NULL; END';
CREATE CONSTRAINT TRIGGER talking AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.batch LIKE 'talking%') EXECUTE FUNCTION speak();
`;

/** What a data shard holds. */
export const dataShardSchema = tables + triggers;

/** Databases with tables whose constraints and triggers fire at the end of a transaction. */
export async function openTwoPhaseScene(name: string): Promise<TwoPhaseScene> {
  const databases = await createDatabaseSet(name);
  await databases.onEach(shardNames, tables);
  await databases.onEach(dataShards, triggers);
  const byId = { shard_key: 'id', vindex: 'by_key' };
  const transfers = { shard_key: 'account', vindex: 'by_key' };
  const config = clusterConfig(databases, { shop: { items: byId, accounts: byId, transfers } });
  const ids = await findIds(databases);
  const prepared = async (): Promise<string[]> => {
    const sql = 'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()';
    return (await fromAll(databases, sql)).map(([gid]) => gid as string);
  };
  return {
    databases,
    config,
    ids,
    startProxy: (env = {}, otherConfig = config) => launch(otherConfig, env),
    shardsWith: async (batch) => {
      const found: ServerName[] = [];
      for (const shard of dataShards) {
        const rows = await databases.query(shard, 'SELECT 1 FROM items WHERE batch = $1', [batch]);
        if (rows.length > 0) found.push(shard);
      }
      return found;
    },
    prepared,
    untilNothingIsPrepared: async () => {
      const deadline = Date.now() + RECOVERY_MS;
      for (;;) {
        const left = await prepared();
        if (left.length === 0) return;
        if (Date.now() > deadline) throw new Error(`still prepared: ${left.join(', ')}`);
        await sleep(50);
      }
    },
    decisions: async () => {
      const rows = await fromAll(databases, 'SELECT gid, outcome FROM shardgate.decisions');
      return new Map(rows as [string, string][]);
    },
    close: () => databases.drop(),
  };
}

async function fromAll(databases: DatabaseSet, sql: string): Promise<unknown[][]> {
  return (await Promise.all(shardNames.map((shard) => databases.query(shard, sql)))).flat();
}

function launch(config: ProxyConfig, env: Readonly<Record<string, string>>): Promise<Proxy> {
  const quick = { SHARDGATE_RECOVERY_AGE_MS: '300', SHARDGATE_RECOVERY_INTERVAL_MS: '150' };
  return startProxy({ config, env: { ...quick, ...env } });
}

/** The servers' own hash says where a row belongs: each of the four shards owns a quarter of the keyspace ids. */
async function findIds(databases: DatabaseSet): Promise<Record<DataShard, number>> {
  const rows = await databases.query(
    'oracle',
    `SELECT min(id)::int FROM generate_series(1, 100) id
      GROUP BY (hashint8extended(id, 0) >> 62) & 3 ORDER BY (hashint8extended(id, 0) >> 62) & 3`,
  );
  const [s0, s1, s2, s3] = rows.map(([id]) => id as number);
  return { s0: s0!, s1: s1!, s2: s2!, s3: s3! };
}

/** A client whose connection may break off at any time. */
export async function connectTo(url: string): Promise<pg.Client> {
  // Backends have the name that their client gives, by which tests find them.
  const client = new pg.Client({ connectionString: url, application_name: 'shardgate' });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** The error that something fails with. */
export async function errorOf(promise: Promise<unknown>): Promise<pg.DatabaseError> {
  try {
    await promise;
  } catch (error) {
    return error as pg.DatabaseError;
  }
  throw new Error('it did not fail');
}

/** The configuration with another server behind a shard. */
export function withPrimary(config: ProxyConfig, shard: DataShard, url: string): ProxyConfig {
  const copy = structuredClone(config) as ProxyConfig & {
    keyspaces: { shop: { shards: { name: string; primary: string }[] } };
  };
  copy.keyspaces.shop.shards.find(({ name }) => name === shard)!.primary = url;
  return copy;
}
