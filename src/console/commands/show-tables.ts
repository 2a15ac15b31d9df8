import { keyList } from '../../keyspace/key-columns.js';
import type { ShardedTable, Table } from '../../keyspace/topology.js';
import { showCommand } from '../show.js';

interface TableRow {
  readonly table: Table;
  /** Of sharded ones: whether rows lie where the configuration has them. */
  readonly placement: 'agreed' | 'differs' | null;
}

export const showTables = showCommand<TableRow>({
  name: 'TABLES',
  help: 'The tables that the configuration names, and whether their rows lie where it has them',
  columns: [
    { name: 'schema', type: 'text', of: ({ table }) => table.schema },
    { name: 'table', type: 'text', of: ({ table }) => table.name },
    { name: 'keyspace', type: 'text', of: ({ table }) => table.keyspace.name },
    { name: 'type', type: 'text', of: ({ table }) => table.type },
    { name: 'shard_key', type: 'text', of: ({ table }) => keyOf(table) },
    { name: 'vindex', type: 'text', of: ({ table }) => ifSharded(table)?.vindex.name ?? null },
    {
      name: 'ids',
      type: 'text',
      of: ({ table: { ids } }) => (ids === undefined ? null : `${ids.column}: ${ids.from}`),
    },
    { name: 'lookups', type: 'text', of: ({ table }) => lookupsOf(table) },
    {
      name: 'require_key',
      type: 'bool',
      of: ({ table }) => ifSharded(table)?.requireKey === true,
    },
    { name: 'placement', type: 'text', of: ({ placement }) => placement },
  ],
  items: ({ proxy, placements }) => {
    const otherwise = new Set(placements.otherwise);
    return Array.from(proxy.config.topology.tables, ([key, table]) => ({
      table,
      placement: table.type !== 'sharded' ? null : otherwise.has(key) ? 'differs' : 'agreed',
    }));
  },
});

function keyOf(table: Table): string | null {
  return table.type === 'sharded' ? keyList(table) : null;
}

function lookupsOf(table: Table): string | null {
  const lookups = ifSharded(table)?.lookups ?? [];
  return lookups.length === 0 ? null : lookups.map(({ column }) => column).join(' ');
}

function ifSharded(table: Table): ShardedTable | null {
  return table.type === 'sharded' ? table : null;
}
