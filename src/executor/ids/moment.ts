import type { IdSource } from '../../planner/plan.js';

/** Asks a server for a time of its transaction, as text that means the same under any setting. */
export function momentSql({ of }: Extract<IdSource, { kind: 'moment' }>): string {
  return `SELECT pg_catalog.to_char(pg_catalog.${of}_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'`;
}
