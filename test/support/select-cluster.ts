import pg from 'pg';
import { inject } from 'vitest';
import type { ClusterTables } from './proxy-config.js';
import { startProxy, type Proxy } from './proxy.js';
import type { ServerUrls } from './servers.js';

/** A proxy over its own shards, which are databases of the four sharded servers. */
export interface SelectCluster {
  readonly shardCount: number;
  readonly proxy: Proxy;
  /** URLs of the keyspace's shards, then that of the unsharded one. */
  readonly shardUrls: readonly string[];
}

/** Clusters of several sizes and one plain Postgres, all with the same rows. */
export interface SelectScene {
  readonly clusters: readonly SelectCluster[];
  readonly database: string;
  readonly oracleUrl: string;
  close(): Promise<void>;
}

const KEYSPACE_BITS = 16;

/** One cluster for each count of shards; `schema` runs through every proxy and on the oracle. */
export async function openClusters(
  name: string,
  shardCounts: readonly number[],
  tablesOf: (shardCount: number) => ClusterTables,
  schema: readonly string[],
  extra: Readonly<Record<string, unknown>> = {},
): Promise<SelectScene> {
  const servers: ServerUrls = { oracle: inject('oracleUrl'), ...inject('shardUrls') };
  const oracleUrl = await freshDatabase(servers.oracle, name);
  const made = [oracleUrl];
  await runAll(oracleUrl, schema);
  const clusters: SelectCluster[] = [];
  for (const shardCount of shardCounts) {
    const shardUrls: string[] = [];
    for (let i = 0; i < shardCount; i++) {
      const server = servers[`s${i % 4}` as 's0'];
      shardUrls.push(await freshDatabase(server, `${name}_${shardCount}_${i}`));
    }
    shardUrls.push(await freshDatabase(servers.main, `${name}_${shardCount}`));
    made.push(...shardUrls);
    const config = { ...clusterOf(name, shardUrls, tablesOf(shardCount)), ...extra };
    const proxy = await startProxy({ config });
    await runAll(proxy.url, schema);
    clusters.push({ shardCount, proxy, shardUrls });
  }
  return {
    clusters,
    database: name,
    oracleUrl,
    close: async () => {
      for (const { proxy } of clusters) await proxy.stop();
      for (const url of made) await dropDatabase(url);
    },
  };
}

function clusterOf(
  database: string,
  shardUrls: readonly string[],
  tables: ClusterTables,
): Record<string, unknown> & { readonly database: string } {
  const shardCount = shardUrls.length - 1;
  const shards = shardUrls.slice(0, -1).map((primary, i) => {
    const range = `${bound(i, shardCount)}-${bound(i + 1, shardCount)}`;
    return { name: `s${i}`, range, primary };
  });
  return {
    database,
    auth: { method: 'trust', users: [{ name: 'postgres', role: 'admin' }] },
    default_keyspace: 'main',
    pool: { size: 4 },
    log: { level: 'warn' },
    keyspaces: {
      main: { shards: [{ name: 'main', primary: shardUrls.at(-1)! }], tables: tables.main ?? {} },
      shop: {
        vindexes: { by_key: { type: 'hash' }, ...tables.vindexes },
        shards,
        tables: tables.shop ?? {},
      },
    },
  };
}

/** The n-th of so many equal cuts of the keyspace ids, in hex; none at both ends. */
function bound(n: number, count: number): string {
  if (n === 0 || n === count) return '';
  return Math.floor((n * 2 ** KEYSPACE_BITS) / count)
    .toString(16)
    .padStart(KEYSPACE_BITS / 4, '0');
}

async function freshDatabase(server: string, name: string): Promise<string> {
  await runAll(server, [`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`, `CREATE DATABASE ${name}`]);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

async function dropDatabase(url: string): Promise<void> {
  const server = new URL(url);
  const name = server.pathname.slice(1);
  server.pathname = '/postgres';
  await runAll(server.href, [`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`]);
}

/** Runs statements of which none may fail. */
async function runAll(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const sql of statements) await client.query(sql);
  } finally {
    await client.end();
  }
}
