import pg from 'pg';
import { createDatabaseSet, type DatabaseSet } from './cluster.js';
import { Comparison } from './oracle.js';
import { clusterConfig, type ClusterTables } from './proxy-config.js';
import { startProxy, type Proxy } from './proxy.js';
import { shardNames } from './servers.js';

/** What a test file works with: its own databases, one proxy in front of them, and a comparison with the oracle. */
export interface Scene {
  readonly databases: DatabaseSet;
  readonly proxy: Proxy;
  readonly comparison: Comparison;
  /** The oracle's port, for clients that speak bytes. */
  readonly oraclePort: number;
  /** Stops the proxy and drops the databases. */
  close(): Promise<void>;
}

/**
 * Sets a scene up; to be closed in `afterAll`.
 * @param schema run through the proxy and on the oracle
 * @param extra top-level keys of the configuration
 */
export async function openScene(
  name: string,
  tables: ClusterTables,
  schema: readonly string[] = [],
  extra: Readonly<Record<string, unknown>> = {},
): Promise<Scene> {
  const databases = await createDatabaseSet(name);
  const proxy = await startProxy({
    config: clusterConfig(databases, tables, { pool: { size: 4 }, ...extra }),
  });
  const comparison = await Comparison.open(proxy.url, databases.urls.oracle);
  for (const sql of schema) await comparison.both(sql);
  return {
    databases,
    proxy,
    comparison,
    oraclePort: Number(new URL(databases.urls.oracle).port),
    close: async () => {
      await comparison.close();
      await proxy.stop();
      await databases.drop();
    },
  };
}

/** A connected client of `pg`; its later errors are reported by the statement that runs into them. */
export async function connectPg(url: string, config: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, ...config });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/**
 * Rows of a table of the keyspace `shop` that stand where they do not belong, as `shard: key`. The servers' own hash
 * function says where a row belongs: the shards of a scene own a quarter of the keyspace ids each.
 * @param hash the extended hash function of the key's type, such as `hashint8extended`
 */
export async function misplacedRows(
  databases: DatabaseSet,
  table: string,
  key: string,
  hash: string,
): Promise<string[]> {
  const found: string[] = [];
  for (const [index, name] of (['s0', 's1', 's2', 's3'] as const).entries()) {
    const rows = await databases.query(
      name,
      `SELECT ${key}::text FROM ${table} WHERE (${hash}(${key}, 0) >> 62) & 3 <> ${index}`,
    );
    for (const [value] of rows) found.push(`${name}: ${String(value)}`);
  }
  const shells = await databases.query('main', `SELECT ${key}::text FROM ${table}`);
  for (const [value] of shells) found.push(`main: ${String(value)}`);
  return found;
}

/** How many rows of a table each shard holds. */
export async function rowsPerShard(
  databases: DatabaseSet,
  table: string,
): Promise<Record<string, number>> {
  const counts = await Promise.all(
    shardNames.map(async (name): Promise<[string, number]> => {
      const [row] = await databases.query(name, `SELECT count(*)::int FROM ${table}`);
      return [name, row![0] as number];
    }),
  );
  return Object.fromEntries(counts);
}
