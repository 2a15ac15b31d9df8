import type { Table } from '../../keyspace/topology.js';
import { showCommand } from '../show.js';

export const showTables = showCommand<Table>({
  name: 'TABLES',
  help: 'The tables that the configuration names',
  columns: [
    { name: 'schema', type: 'text', of: ({ schema }) => schema },
    { name: 'table', type: 'text', of: ({ name }) => name },
    { name: 'keyspace', type: 'text', of: ({ keyspace }) => keyspace.name },
    { name: 'type', type: 'text', of: ({ type }) => type },
    { name: 'shard_key', type: 'text', of: (table) => ifSharded(table)?.shardKey ?? null },
    { name: 'vindex', type: 'text', of: (table) => ifSharded(table)?.vindex.name ?? null },
    {
      name: 'ids',
      type: 'text',
      of: ({ ids }) => (ids === undefined ? null : `${ids.column}: ${ids.from}`),
    },
  ],
  items: ({ proxy }) => proxy.config.topology.tables.values(),
});

function ifSharded(table: Table): Extract<Table, { type: 'sharded' }> | null {
  return table.type === 'sharded' ? table : null;
}
