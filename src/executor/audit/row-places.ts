import { sqlError } from '../../errors/sql-error.js';
import type { Catalog, CatalogColumn } from '../../keyspace/catalog.js';
import { keyColumnMapper, keyList } from '../../keyspace/key-columns.js';
import { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import { collectedKeys, withAnswers } from '../../keyspace/key-directory.js';
import type { Shard, ShardedTable, Table } from '../../keyspace/topology.js';
import { TypeOid } from '../../keyspace/type-oids.js';
import { MAPPED } from '../../keyspace/vindex.js';
import { placeSql } from '../../planner/deal/place-sql.js';
import { quoteIdentifier } from '../../sql/quote.js';
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
  shardsOf(keys: readonly RowKey[]): Promise<readonly (Shard | null)[]>;
}

/** The texts of a key's columns. */
export type RowKey = readonly (string | null)[];

/** Of a table that is no reference table. Throws SqlError 42P01, 0A000 where its key cannot be mapped. */
export function rowPlaces(table: Table, { catalog, directories }: AuditHost): RowPlaces {
  if (table.type === 'sharded') return placesByKey(table, catalog, directories);
  const [home] = table.keyspace.shards;
  const shardsOf = (keys: readonly RowKey[]): Promise<Shard[]> =>
    Promise.resolve(keys.map(() => home!));
  return { key: [], sql: null, shardsOf };
}

function placesByKey(
  table: ShardedTable,
  { relations }: Catalog,
  directories: AuditHost['directories'],
): RowPlaces {
  const { schema, name, keyColumns, vindex, keyspace } = table;
  const relation = relations.get(`${schema}.${name}`);
  if (relation === undefined) {
    throw sqlError('undefined_table', `table "${schema}.${name}" does not exist on the shards`);
  }
  const columns = keyColumns.flatMap((key, place) => {
    const column = relation.columns.find((candidate) => candidate.name === key);
    if (column === undefined) return [];
    const { type, typmod } = column;
    const mapper = keyColumnMapper(table, place, type, TypeOid.unknown, typmod);
    return mapper === null ? [] : [{ column, mapper, part: new KeyspaceIdCell() }];
  });
  if (columns.length < keyColumns.length) {
    throw sqlError(
      'feature_not_supported',
      `rows of table "${schema}.${name}" cannot be placed by column "${keyList(table)}"`,
      { hint: 'shardgate check and the log tell what is wrong with the shard key.' },
    );
  }
  const parts = columns.map(({ part }) => part);
  const cell = new KeyspaceIdCell();
  const shardOf = (values: RowKey): Shard | null => {
    for (const [place, { mapper, part }] of columns.entries()) {
      const text = values[place] ?? null;
      if (text === null) return null;
      const bytes = Buffer.from(text);
      if (mapper.text(bytes, 0, bytes.length, part) !== MAPPED) return null;
    }
    const [first] = parts;
    if (parts.length === 1) return keyspace.shardOf(first!.hi, first!.lo);
    vindex.parts!.combine(parts, cell);
    return keyspace.shardOf(cell.hi, cell.lo);
  };
  return {
    key: keyColumns,
    sql: placeOfRow(
      table,
      columns.map(({ column }) => column),
    ),
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
