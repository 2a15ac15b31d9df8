import type { DatabaseSet } from './cluster.js';

/** A configuration as the YAML file has it; JSON is YAML, so nothing else is needed to write one. */
export type ProxyConfig = Record<string, unknown> & { readonly database: string };

export interface ClusterTables {
  /** Tables of the unsharded keyspace `main`. */
  readonly main?: Readonly<Record<string, object>>;
  /** Tables of the keyspace `shop`, sharded four ways with the vindex `by_key` (hash). */
  readonly shop?: Readonly<Record<string, object>>;
  /** Further vindexes of `shop`. */
  readonly vindexes?: Readonly<Record<string, object>>;
}

/**
 * The five shards of a database set as a cluster: `main` unsharded and the default for tables that are not
 * named, `shop` over s0 to s3. Everybody logs in as `postgres` without a password, on the proxy as on
 * the servers, so that `current_user` is the oracle's.
 * @param extra further top-level keys; they replace those made here
 */
export function clusterConfig(
  databases: DatabaseSet,
  tables: ClusterTables = {},
  extra: Readonly<Record<string, unknown>> = {},
): ProxyConfig {
  const { urls } = databases;
  const mainTables = tables.main === undefined ? {} : { tables: tables.main };
  const shopTables = tables.shop === undefined ? {} : { tables: tables.shop };
  return {
    database: databases.name,
    auth: { method: 'trust', users: [{ name: 'postgres', role: 'admin' }] },
    default_keyspace: 'main',
    keyspaces: {
      main: { shards: [{ name: 'main', primary: urls.main }], ...mainTables },
      shop: {
        vindexes: { by_key: { type: 'hash' }, ...tables.vindexes },
        shards: [
          { name: 's0', range: '-40', primary: urls.s0 },
          { name: 's1', range: '40-80', primary: urls.s1 },
          { name: 's2', range: '80-c0', primary: urls.s2 },
          { name: 's3', range: 'c0-', primary: urls.s3 },
        ],
        ...shopTables,
      },
    },
    ...extra,
  };
}
