import { sqlError } from '../../errors/sql-error.js';
import type { Catalog } from '../../keyspace/catalog.js';
import { KeyspaceIdCell, signedId } from '../../keyspace/keyspace-id.js';
import type { Lookup, ShardedTable, Topology } from '../../keyspace/topology.js';
import { MAPPED } from '../../keyspace/vindex.js';
import { keyTextMapper, type KeyTexts } from '../key-texts.js';

/** The table that a lookup is for. */
export function ownerOf({ schema, table }: Lookup, { tables }: Topology): ShardedTable {
  return tables.get(`${schema}.${table}`) as ShardedTable;
}

/**
 * From a table's shard key, as the triggers write it, to the keyspace id, as the lookup's table has it.
 * Throws SqlError XX000 where it cannot be mapped.
 */
export function keyIds(table: ShardedTable, catalog: Catalog): (key: KeyTexts) => string {
  const { schema, name } = table;
  const mapper = keyTextMapper(table, catalog);
  const cell = new KeyspaceIdCell();
  return (key) => {
    if (mapper?.map(key, cell) !== MAPPED) {
      throw sqlError('internal_error', `a shard key of table "${schema}.${name}" cannot be mapped`);
    }
    return signedId(cell);
  };
}
