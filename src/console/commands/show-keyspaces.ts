import type { Keyspace } from '../../keyspace/topology.js';
import { showCommand } from '../show.js';

export const showKeyspaces = showCommand<Keyspace>({
  name: 'KEYSPACES',
  help: 'The keyspaces, and how large they are',
  columns: [
    { name: 'keyspace', type: 'text', of: ({ name }) => name },
    { name: 'sharded', type: 'bool', of: ({ sharded }) => sharded },
    { name: 'shards', type: 'int4', of: ({ shards }) => shards.length },
    { name: 'tables', type: 'int4', of: ({ tables }) => tables.size },
    { name: 'vindexes', type: 'int4', of: ({ vindexes }) => vindexes.size },
  ],
  items: ({ proxy }) => proxy.config.topology.keyspaces,
});
