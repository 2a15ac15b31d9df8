import type { ShardQuery } from '../../backend/shard-query.js';
import type { Shard } from '../../keyspace/topology.js';

/** What a shard says of itself, asked as the user of its URL. */
export interface ServerFacts {
  readonly shard: Shard;
  /** As `server_version`. */
  readonly version: string;
  /** As `server_version_num`, such as 180004. */
  readonly versionNumber: number;
  /** As PostgreSQL names it: `UTF8`. */
  readonly encoding: string;
  /** How text sorts: provider and names of the database's collation. */
  readonly collation: string;
  /** Of the library that the collation comes from; empty: it has none. */
  readonly collationVersion: string;
  readonly maxPrepared: number;
  /** Connections that are there for this user. */
  readonly maxConnections: number;
  /** It may create schemas in the database. */
  readonly mayCreate: boolean;
  readonly isStandby: boolean;
  /** Equal for two shards only if they are one and the same database. */
  readonly identity: string;
  /** Settings that change what statements mean or how values look, by name. */
  readonly settings: ReadonlyMap<string, string>;
}

/** Compared with those of the catalog shard; what a session sets is the same everywhere. */
const COMPARED_SETTINGS = [
  'bytea_output',
  'DateStyle',
  'default_transaction_isolation',
  'default_transaction_read_only',
  'extra_float_digits',
  'IntervalStyle',
  'lc_monetary',
  'lc_numeric',
  'search_path',
  'standard_conforming_strings',
  'TimeZone',
];

const FACTS_SQL = `
SELECT current_setting('server_version'), current_setting('server_version_num'),
       pg_catalog.pg_encoding_to_char(d.encoding),
       concat_ws(' ', coalesce(j->>'datlocprovider', 'c'), d.datcollate, d.datctype,
                 coalesce(j->>'datlocale', j->>'daticulocale')),
       coalesce(j->>'datcollversion', ''), current_setting('max_prepared_transactions'),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
       has_database_privilege(d.oid, 'CREATE'), pg_is_in_recovery(),
       concat_ws(' ', d.oid, pg_postmaster_start_time(), (SELECT c.system_identifier FROM pg_control_system() c)),
       (SELECT jsonb_object_agg(s.name, current_setting(s.name))
        FROM pg_catalog.pg_settings s WHERE s.name = ANY ('{${COMPARED_SETTINGS.join(',')}}'))
FROM pg_catalog.pg_database d, pg_catalog.to_jsonb(d) j
WHERE d.datname = current_database()`;

/** Rejects where the shard cannot be reached or does not answer in time. */
export async function askFacts(
  shard: Shard,
  query: ShardQuery,
  timeoutMs: number,
): Promise<ServerFacts> {
  const [row = []] = await query(shard, FACTS_SQL, timeoutMs);
  const text = (index: number): string => row[index] ?? '';
  const settings = JSON.parse(text(10)) as Readonly<Record<string, string>>;
  return {
    shard,
    version: text(0),
    versionNumber: Number(text(1)),
    encoding: text(2),
    collation: text(3),
    collationVersion: text(4),
    maxPrepared: Number(text(5)),
    maxConnections: Number(text(6)),
    mayCreate: text(7) === 't',
    isStandby: text(8) === 't',
    identity: text(9),
    settings: new Map(Object.entries(settings)),
  };
}
