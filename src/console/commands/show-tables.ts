import { keyList } from '../../keyspace/key-columns.js';
import type { ShardedTable, Table } from '../../keyspace/topology.js';
import { showCommand } from '../show.js';

export const showTables = showCommand<Table>({
  name: 'TABLES',
  help: 'The tables that the configuration names',
  columns: [
    { name: 'schema', type: 'text', of: ({ schema }) => schema },
    { name: 'table', type: 'text', of: ({ name }) => name },
    { name: 'keyspace', type: 'text', of: ({ keyspace }) => keyspace.name },
    { name: 'type', type: 'text', of: ({ type }) => type },
    { name: 'shard_key', type: 'text', of: keyOf },
    { name: 'vindex', type: 'text', of: (table) => ifSharded(table)?.vindex.name ?? null },
    {
      name: 'ids',
      type: 'text',
      of: ({ ids }) => (ids === undefined ? null : `${ids.column}: ${ids.from}`),
    },
    { name: 'lookups', type: 'text', of: lookupsOf },
    { name: 'require_key', type: 'bool', of: (table) => ifSharded(table)?.requireKey === true },
  ],
  items: ({ proxy }) => proxy.config.topology.tables.values(),
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
