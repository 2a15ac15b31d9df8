import { sqlError } from '../../errors/sql-error.js';
import type { Catalog, CatalogColumn } from '../../keyspace/catalog.js';
import { keyList } from '../../keyspace/key-columns.js';
import { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import { collectedKeys, withAnswers } from '../../keyspace/key-directory.js';
import type { Shard, ShardedTable, Table } from '../../keyspace/topology.js';
import { MAPPED } from '../../keyspace/vindex.js';
import { placeSql } from './place-sql.js';
import { quoteIdentifier } from '../../sql/quote.js';
import { keyTextMapper, type KeyTexts } from '../key-texts.js';
import type { AuditHost } from './audit-host.js';

/** Which shard each row of a table belongs to. */
export interface RowPlaces {
  /** The columns that tell; none: all rows belong to one shard. */
  readonly key: readonly string[];
  /**
   * The place of a row's shard among those of the keyspace, as SQL (int4) over the table; -1: no shard takes the row.
   * Null: shards cannot compute it.
   */
  readonly sql: string | null;
  /** By the texts of rows' keys; null: no shard takes the row. */
  shardsOf(keys: readonly KeyTexts[]): Promise<readonly (Shard | null)[]>;
}

/** Of a table that is no reference table. Throws SqlError 42P01, 0A000 where its key cannot be mapped. */
export function rowPlaces(table: Table, { catalog, directories }: AuditHost): RowPlaces {
  if (table.type === 'sharded') return placesByKey(table, catalog, directories);
  const [home] = table.keyspace.shards;
  const shardsOf = (keys: readonly KeyTexts[]): Promise<Shard[]> =>
    Promise.resolve(keys.map(() => home!));
  return { key: [], sql: null, shardsOf };
}

function placesByKey(
  table: ShardedTable,
  catalog: Catalog,
  directories: AuditHost['directories'],
): RowPlaces {
  const { schema, name, keyColumns, vindex, keyspace } = table;
  if (!catalog.relations.has(`${schema}.${name}`)) {
    throw sqlError('undefined_table', `table "${schema}.${name}" does not exist on the shards`);
  }
  const mapper = keyTextMapper(table, catalog);
  if (mapper === null) {
    throw sqlError(
      'feature_not_supported',
      `rows of table "${schema}.${name}" cannot be placed by column "${keyList(table)}"`,
      { hint: 'shardgate check and the log tell what is wrong with the shard key.' },
    );
  }
  const cell = new KeyspaceIdCell();
  const shardOf = (key: KeyTexts): Shard | null =>
    mapper.map(key, cell) === MAPPED ? keyspace.shardOf(cell.hi, cell.lo) : null;
  return {
    key: keyColumns,
    sql: placeOfRow(table, mapper.columns),
    async shardsOf(keys) {
      const { directory } = vindex;
      if (directory === undefined) return keys.map(shardOf);
      const asked = collectedKeys([directory], () => keys.map(shardOf));
      return withAnswers(await directories.where(asked), () => keys.map(shardOf));
    },
  };
}

/** `RowPlaces.sql` over the key's columns. */
function placeOfRow(
  { vindex, keyspace }: ShardedTable,
  columns: readonly CatalogColumn[],
): string | null {
  const names = columns.map(({ name }) => quoteIdentifier(name));
  const types = columns.map(({ type }) => type);
  const id =
    columns.length === 1
      ? vindex.sqlExpression(names[0]!, types[0]!)
      : vindex.parts!.sqlExpression(names, types);
  if (id === null) return null;
  const nulls = columns.length === 1 ? [] : names.map((name) => `${name} IS NULL`);
  const nowhere = [...nulls, `(${id}) IS NULL`].join(' OR ');
  return `CASE WHEN ${nowhere} THEN -1 ELSE ${placeSql(id, keyspace)} END`;
}
