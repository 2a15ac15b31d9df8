import { sqlError } from '../../errors/sql-error.js';
import type { Catalog } from '../../keyspace/catalog.js';
import { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import type { Shard, Table } from '../../keyspace/topology.js';
import { TypeOid } from '../../keyspace/type-oids.js';
import { MAPPED } from '../../keyspace/vindex.js';
import { placeSql } from '../../planner/deal/place-sql.js';
import type { ShardedTable } from '../../planner/plan.js';
import { quoteIdentifier } from '../../sql/quote.js';

/** Which shard each row of a table belongs to. */
export interface RowPlaces {
  /** The column that tells; null: all rows belong to one shard. */
  readonly key: string | null;
  /**
   * The place of a row's shard among those of the keyspace, as SQL (int4) over the table; -1: no shard takes the row.
   * Null: shards cannot compute it.
   */
  readonly sql: string | null;
  /** By the text of a row's key; null: no shard takes the row. */
  shardOf(key: string | null): Shard | null;
}

/** Of a table that is no reference table. Throws SqlError 42P01, 0A000 where its key cannot be mapped. */
export function rowPlaces(table: Table, catalog: Catalog): RowPlaces {
  if (table.type === 'sharded') return placesByKey(table, catalog);
  const [home] = table.keyspace.shards;
  return { key: null, sql: null, shardOf: () => home! };
}

function placesByKey(table: ShardedTable, { relations }: Catalog): RowPlaces {
  const { schema, name, shardKey, vindex, keyspace } = table;
  const relation = relations.get(`${schema}.${name}`);
  if (relation === undefined) {
    throw sqlError('undefined_table', `table "${schema}.${name}" does not exist on the shards`);
  }
  const column = relation.columns.find((candidate) => candidate.name === shardKey);
  const mapper =
    column === undefined ? null : vindex.mapper(column.type, TypeOid.unknown, column.typmod ?? -1);
  if (column === undefined || mapper === null) {
    throw sqlError(
      'feature_not_supported',
      `rows of table "${schema}.${name}" cannot be placed by column "${shardKey}"`,
      { hint: 'shardgate check and the log tell what is wrong with the shard key.' },
    );
  }
  const key = quoteIdentifier(shardKey);
  const id = vindex.sqlExpression(key, column.type);
  const cell = new KeyspaceIdCell();
  return {
    key: shardKey,
    sql:
      id === null ? null : `CASE WHEN (${id}) IS NULL THEN -1 ELSE ${placeSql(id, keyspace)} END`,
    shardOf(text) {
      if (text === null) return null;
      const bytes = Buffer.from(text);
      if (mapper.text(bytes, 0, bytes.length, cell) !== MAPPED) return null;
      return keyspace.shardOf(cell.hi, cell.lo);
    },
  };
}
