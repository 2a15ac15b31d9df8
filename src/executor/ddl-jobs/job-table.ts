import { quoteLiteral } from '../../sql/quote.js';

/*
 * The table of DDL that no transaction holds, on the catalog shard: one row a statement. While a proxy is at it, it
 * renews `seen_at`; where it has stopped doing so, whoever says the statement again takes the row over.
 *
 *   (none) -- begin --> owned, seen -- all shards done --> ended
 *                          |   ^
 *                 failed, crash   take over
 *                          v   |
 *                        unfinished
 */

/** How long the row of a proxy that is not heard of is left alone. */
export const SILENCE_MS = 5000;
/** How long rows are kept that are finished, or that nobody goes on with. */
const KEPT_DAYS = 30;

/** Any number will do, as long as all proxies take the same; this is "ddl jobs" in ASCII. */
const SET_UP_LOCK = '7234025787944297075';

export const SET_UP_SQL = `
SET LOCAL client_min_messages = warning;
SELECT pg_advisory_xact_lock(${SET_UP_LOCK});
CREATE SCHEMA IF NOT EXISTS shardgate;
CREATE TABLE IF NOT EXISTS shardgate.ddl_jobs (
  job text PRIMARY KEY,
  statement text NOT NULL,
  role text NOT NULL,
  search_path text NOT NULL,
  shards jsonb NOT NULL,
  owner text,
  begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS ddl_jobs_unfinished
  ON shardgate.ddl_jobs (md5(statement), role, search_path) WHERE ended_at IS NULL;
COMMENT ON TABLE shardgate.ddl_jobs IS
  'DDL that shards commit one by one, and how far it has come, kept by Shardgate: leave it alone'`;

/** What makes two statements the same. Role and search path are as the client has set them, '' where it has not. */
export interface JobIdentity {
  readonly statement: string;
  readonly role: string;
  readonly searchPath: string;
}

function isSame({ statement, role, searchPath }: JobIdentity): string {
  return (
    `md5(statement) = md5(${quoteLiteral(statement)}) AND statement = ${quoteLiteral(statement)}` +
    ` AND role = ${quoteLiteral(role)} AND search_path = ${quoteLiteral(searchPath)} AND ended_at IS NULL`
  );
}

/** No row, or one: job, owner, shards (JSON), whether its owner is at work. */
export function findSql(identity: JobIdentity): string {
  return (
    'SELECT job, owner, shards, owner IS NOT NULL AND' +
    ` seen_at > clock_timestamp() - interval '${SILENCE_MS} ms'` +
    ` FROM shardgate.ddl_jobs WHERE ${isSame(identity)}`
  );
}

/** One row where it has become ours; none where another one was first. */
export function beginSql(
  job: string,
  { statement, role, searchPath }: JobIdentity,
  shards: string,
): string {
  const values = [job, statement, role, searchPath, shards, job].map(quoteLiteral).join(', ');
  return (
    'INSERT INTO shardgate.ddl_jobs (job, statement, role, search_path, shards, owner)' +
    ` VALUES (${values}) ON CONFLICT DO NOTHING RETURNING job`
  );
}

/** One row where it has become ours. `before`: its owner so far. */
export function takeOverSql(job: string, before: string | null, owner: string): string {
  const same = before === null ? 'owner IS NULL' : `owner = ${quoteLiteral(before)}`;
  return (
    `UPDATE shardgate.ddl_jobs SET owner = ${quoteLiteral(owner)}, seen_at = clock_timestamp()` +
    ` WHERE job = ${quoteLiteral(job)} AND ended_at IS NULL AND ${same} RETURNING job`
  );
}

/** `shards` null: it only says that the owner is still there. One row, unless the job has been taken over. */
export function noteSql(job: string, owner: string, shards: string | null): string {
  const states = shards === null ? '' : `, shards = ${quoteLiteral(shards)}`;
  return (
    `UPDATE shardgate.ddl_jobs SET seen_at = clock_timestamp()${states}` +
    ` WHERE job = ${quoteLiteral(job)} AND owner = ${quoteLiteral(owner)} RETURNING job`
  );
}

/** All shards are through, or (`ended` false) somebody may go on with it. */
export function leaveSql(job: string, owner: string, shards: string, ended: boolean): string {
  const end = ended ? ', ended_at = clock_timestamp()' : '';
  return (
    `UPDATE shardgate.ddl_jobs SET owner = NULL, shards = ${quoteLiteral(shards)}${end}` +
    ` WHERE job = ${quoteLiteral(job)} AND owner = ${quoteLiteral(owner)}`
  );
}

/** Nothing has been done that could be gone on with. */
export function forgetSql(job: string, owner: string): string {
  return (
    'DELETE FROM shardgate.ddl_jobs' +
    ` WHERE job = ${quoteLiteral(job)} AND owner = ${quoteLiteral(owner)}`
  );
}

export const TIDY_SQL = `
DELETE FROM shardgate.ddl_jobs
WHERE least(ended_at, seen_at) < clock_timestamp() - interval '${KEPT_DAYS} days'`;

/**
 * All jobs, unfinished ones first: statement, state (`running`, `interrupted` or `done`), shards (JSON), begun, ended.
 * No row where there is no such table.
 */
export const LIST_SQL = `
SELECT statement,
       CASE WHEN ended_at IS NOT NULL THEN 'done'
            WHEN owner IS NOT NULL AND seen_at > clock_timestamp() - interval '${SILENCE_MS} ms' THEN 'running'
            ELSE 'interrupted' END,
       shards, begun_at, ended_at
FROM shardgate.ddl_jobs ORDER BY ended_at DESC NULLS FIRST, begun_at DESC`;

export const EXISTS_SQL = `SELECT to_regclass('shardgate.ddl_jobs') IS NOT NULL`;

/** On a shard: how far the build of an index by this statement is; no row where there is none. */
export function progressSql(statement: string): string {
  return (
    "SELECT p.phase || CASE WHEN p.blocks_total > 0 THEN ' (' || 100 * p.blocks_done / p.blocks_total || ' % of blocks)' ELSE '' END" +
    ' FROM pg_catalog.pg_stat_progress_create_index p JOIN pg_catalog.pg_stat_activity a USING (pid)' +
    ` WHERE p.datname = current_database() AND btrim(a.query, E' \\n\\t\\r') = ${quoteLiteral(statement)}`
  );
}
