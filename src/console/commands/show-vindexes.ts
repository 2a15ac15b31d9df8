import type { Vindex } from '../../keyspace/vindex.js';
import { showCommand } from '../show.js';

interface VindexRow {
  readonly keyspace: string;
  readonly vindex: Vindex;
  readonly tables: readonly string[];
}

export const showVindexes = showCommand<VindexRow>({
  name: 'VINDEXES',
  help: 'The vindexes, and which tables they shard',
  columns: [
    { name: 'keyspace', type: 'text', of: ({ keyspace }) => keyspace },
    { name: 'vindex', type: 'text', of: ({ vindex }) => vindex.name },
    { name: 'type', type: 'text', of: ({ vindex }) => vindex.type },
    { name: 'tables', type: 'text', of: ({ tables }) => tables.join(' ') },
  ],
  items: ({ proxy }) =>
    proxy.config.topology.keyspaces.flatMap(({ name: keyspace, vindexes, tables }) =>
      [...vindexes.values()].map((vindex) => ({
        keyspace,
        vindex,
        tables: [...tables.values()]
          .filter((table) => table.type === 'sharded' && table.vindex === vindex)
          .map(({ name }) => name),
      })),
    ),
});
