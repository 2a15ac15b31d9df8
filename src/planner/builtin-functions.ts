/*
 * Functions that a name is enough to tell of.
 */

/**
 * Volatile built-ins without effects: each call gives another value, on whichever shard it runs.
 */
export const harmlessVolatile = new Set(
  (
    'random random_normal clock_timestamp timeofday gen_random_uuid uuidv4 uuidv7 array_sample ' +
    'array_shuffle current_query pg_sleep pg_sleep_for pg_sleep_until'
  ).split(' '),
);

/**
 * Volatile built-ins that only report on the server they run on: asked on the catalog shard, as
 * psql does.
 */
export const serverReports =
  /^(pg_(table|relation|total_relation|indexes|database|tablespace)_size|pg_stat_get_.*|pg_is_.*|pg_jit_available|pg_blocking_pids|pg_safe_snapshot_blocking_pids|pg_partition_(tree|ancestors)|pg_current_wal_.*|pg_last_.*|pg_lock_status|pg_show_.*|pg_prepared_xact|pg_get_multixact_members|pg_xact_status|txid_status|pg_collation_actual_version|pg_database_collation_actual_version|pg_sequence_last_value|pg_notification_queue_usage|pg_current_logfile|pg_hba_file_rules|pg_ident_file_mappings)$/;

/** Functions that take SQL text or table names and read whatever they name. */
export const readsNamedTables =
  /^((table|query|schema|database|cursor)_to_xml(schema|_and_xmlschema)?|ts_stat|ts_rewrite|dblink.*|lo_.*|loread|lowrite|crosstab.*|connectby)$/;

/**
 * Functions of well-known extensions (uuid-ossp, pgcrypto, unaccent, pg_trgm) that only compute.
 */
export const extensionFunctions =
  /^(uuid_.*|gen_salt|gen_random_bytes|gen_random_uuid|pgp_.*|unaccent|show_limit|show_trgm|(strict_)?(word_)?similarity(_.*)?)$/;

export const sessionLocks = /^pg_(try_)?advisory_lock(_shared)?$/;
export const sessionUnlocks = /^pg_advisory_unlock(_shared|_all)?$/;
const transactionLocks = /^pg_(try_)?advisory_xact_lock(_shared)?$/;

/** Whether sessions meet by it, so that all must call it at one place: to exclude each other, to be heard. */
export function meetsSessions(name: string): boolean {
  return (
    name === 'pg_notify' ||
    [sessionLocks, sessionUnlocks, transactionLocks].some((locks) => locks.test(name))
  );
}

/** Functions whose result names objects by OID or describes the catalog or the server. */
export const catalogFunctions =
  /^(pg_.*|has_.*_privilege|to_reg.*|format_type|(obj|col|shobj)_description|row_security_active|txid_.*|inet_.*)$/;

/**
 * Stable functions whose value differs between shards, so that the copies of a reference table
 * would differ.
 */
export const differsByShard =
  /^(now|statement_timestamp|transaction_timestamp|age|pg_.*|txid_.*|inet_.*|to_reg.*)$/;
