import { keyName, keyPartsOf } from '../keyspace/key-columns.js';
import type { ShardedTable } from '../keyspace/topology.js';
import type { StoredColumn, StoredKey } from './plan-keys.js';

/** The key of a table's rows, with what is known of its columns. */
export function storedKey<Column extends StoredColumn>(
  table: ShardedTable,
  columns: readonly Column[],
): StoredKey & { readonly columns: readonly Column[] } {
  const { directory } = table.vindex;
  const known = { columns, parts: keyPartsOf(table), name: keyName(table) };
  return directory === undefined ? known : { ...known, directory };
}
