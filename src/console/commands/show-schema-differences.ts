import type { SchemaDifference } from '../../backend/schema/schema-differences.js';
import { showCommand } from '../show.js';

export const showSchemaDifferences = showCommand<SchemaDifference>({
  name: 'SCHEMA DIFFERENCES',
  help: 'What shards have otherwise than the catalog shard, as last looked at',
  columns: [
    { name: 'shard', type: 'text', of: ({ shard }) => shard },
    { name: 'kind', type: 'text', of: ({ kind }) => kind },
    { name: 'object', type: 'text', of: ({ object }) => object },
    { name: 'difference', type: 'text', of: ({ difference }) => difference },
  ],
  items: ({ proxy }) => proxy.schemas.differences,
});
