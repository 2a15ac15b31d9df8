import type { ShardedTable } from './topology.js';
import type { KeyMapper } from './vindex.js';

/** The columns of a shard key for messages: `id`, or `region, id`. */
export function keyList({ keyColumns }: Pick<ShardedTable, 'keyColumns'>): string {
  return keyColumns.join(', ');
}

/** The shard key with its table for messages: `orders.id`, or `orders (region, id)`. */
export function keyName(table: Pick<ShardedTable, 'name' | 'keyColumns'>): string {
  const list = keyList(table);
  return table.keyColumns.length === 1 ? `${table.name}.${list}` : `${table.name} (${list})`;
}

/** Why the key's column at a 0-based place cannot have this type; null where it can. */
export function keyColumnRefusal(
  { vindex, keyColumns }: ShardedTable,
  place: number,
  columnType: number,
): string | null {
  if (keyColumns.length === 1) return vindex.refusal(columnType);
  return vindex.parts!.refusal(place, columnType);
}

/**
 * Maps values of the key's column at a 0-based place (`Vindex.mapper`): to ids, or to parts of ids where the key has
 * several columns. Null where the types are not supported.
 */
export function keyColumnMapper(
  { vindex, keyColumns }: Pick<ShardedTable, 'vindex' | 'keyColumns'>,
  place: number,
  columnType: number,
  inputType: number,
  columnTypmod = -1,
): KeyMapper | null {
  if (keyColumns.length === 1) return vindex.mapper(columnType, inputType, columnTypmod);
  return vindex.parts!.mapper(place, columnType, inputType, columnTypmod);
}

/** How parts of a table's keys are put together; null: its key has one column. */
export function keyPartsOf({ vindex, keyColumns }: ShardedTable): ShardedTable['vindex']['parts'] {
  return keyColumns.length === 1 ? null : vindex.parts;
}
