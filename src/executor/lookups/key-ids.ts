import { sqlError } from '../../errors/sql-error.js';
import type { Catalog } from '../../keyspace/catalog.js';
import { KeyspaceIdCell, signedId } from '../../keyspace/keyspace-id.js';
import type { Lookup, ShardedTable, Topology } from '../../keyspace/topology.js';
import { TypeOid } from '../../keyspace/type-oids.js';
import { MAPPED } from '../../keyspace/vindex.js';

/** The table that a lookup is for. */
export function ownerOf({ schema, table }: Lookup, { tables }: Topology): ShardedTable {
  return tables.get(`${schema}.${table}`) as ShardedTable;
}

/**
 * From the text of a table's shard key, as the triggers write it, to the keyspace id, as the lookup's
 * table has it. Throws SqlError XX000 where it cannot be mapped.
 */
export function keyIds(
  { schema, name, keyColumns, vindex }: ShardedTable,
  { relations }: Catalog,
): (key: string) => string {
  const column = relations
    .get(`${schema}.${name}`)
    ?.columns.find((candidate) => candidate.name === keyColumns[0]);
  const mapper =
    column === undefined ? null : vindex.mapper(column.type, TypeOid.unknown, column.typmod ?? -1);
  const cell = new KeyspaceIdCell();
  return (key) => {
    const bytes = Buffer.from(key);
    if (mapper?.text(bytes, 0, bytes.length, cell) !== MAPPED) {
      throw sqlError('internal_error', `a shard key of table "${schema}.${name}" cannot be mapped`);
    }
    return signedId(cell);
  };
}
