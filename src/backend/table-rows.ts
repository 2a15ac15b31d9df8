import type { Catalog, CatalogRelation } from '../keyspace/catalog.js';
import { InternalQuery } from './internal-query.js';
import type { Pool } from './pool.js';

/** It reads no table and waits for no lock. */
const TIMEOUT_MS = 5_000;

/**
 * schema, name, rows. What the server counts as it writes is nearer to now than ANALYZE's last look,
 * and there for tables that it has not looked at; a crash forgets it.
 */
const tableRowsQuery = `
SELECT n.nspname, c.relname,
       CASE WHEN pg_catalog.pg_stat_get_live_tuples(c.oid) > 0
            THEN pg_catalog.pg_stat_get_live_tuples(c.oid)
            ELSE c.reltuples END
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND (c.reltuples >= 0 OR pg_catalog.pg_stat_get_live_tuples(c.oid) > 0)`;

type Rows = ReadonlyMap<string, number>;

/** About how many rows each table has on each shard: what the planner chooses its ways by. */
export class TableRows {
  private readonly known = new WeakMap<Pool, Rows>();

  /** Asks all servers; of those that do not answer, what is known stays. */
  async read(pools: readonly Pool[]): Promise<void> {
    await Promise.all(
      pools.map(async (pool) => {
        try {
          this.known.set(pool, rowsOf(await InternalQuery.run(pool, tableRowsQuery, TIMEOUT_MS)));
        } catch {
          // Its health check tells; a guess may be old.
        }
      }),
    );
  }

  /** By `schema.name`, over all these servers. */
  total(pools: readonly Pool[]): Map<string, number> {
    const total = new Map<string, number>();
    for (const pool of pools) {
      for (const [name, rows] of this.known.get(pool) ?? []) {
        total.set(name, (total.get(name) ?? 0) + rows);
      }
    }
    return total;
  }
}

function rowsOf(answer: readonly (readonly (string | null)[])[]): Rows {
  return new Map(answer.map(([schema, name, rows]) => [`${schema}.${name}`, Number(rows)]));
}

/**
 * The catalog with estimates of rows. One that has not changed by half stays as it was in the catalog
 * before, since every new one makes all plans anew.
 */
export function withTableRows(catalog: Catalog, total: Rows, before: Catalog | null): Catalog {
  const sums = withPartitions(catalog, total);
  const relations = new Map<string, CatalogRelation>();
  for (const [key, relation] of catalog.relations) {
    const rows = sums.get(key);
    const old = before?.relations.get(key)?.estimatedRows;
    const estimatedRows = rows === undefined ? null : steady(rows, old ?? null);
    relations.set(key, { ...relation, estimatedRows });
  }
  return Object.freeze({ ...catalog, relations });
}

/** Partitioned tables have the rows of their partitions. */
function withPartitions({ relations }: Catalog, total: Rows): Map<string, number> {
  const sums = new Map(total);
  for (const [key, rows] of total) {
    let parent = relations.get(key)?.parent ?? null;
    while (parent !== null) {
      const relation: CatalogRelation | undefined = relations.get(parent);
      if (relation?.kind !== 'p') break;
      sums.set(parent, (sums.get(parent) ?? 0) + rows);
      parent = relation.parent;
    }
  }
  return sums;
}

/** The nearest power of two, or 0, unless the old one is near enough. */
function steady(rows: number, old: number | null): number {
  if (old !== null && rows < 2 * old && rows > old / 2) return old;
  return rows < 1 ? 0 : 2 ** Math.round(Math.log2(rows));
}
