import type { UserConfig } from '../../config/config.js';
import { showCommand } from '../show.js';

export const showUsers = showCommand<UserConfig>({
  name: 'USERS',
  help: 'The users of the configuration',
  columns: [
    { name: 'name', type: 'text', of: ({ name }) => name },
    { name: 'pool_mode', type: 'text', of: () => null },
    { name: 'role', type: 'text', of: ({ role }) => role },
    { name: 'max_clients', type: 'int4', of: ({ maxClients }) => maxClients },
  ],
  items: ({ proxy }) => proxy.config.auth.users.values(),
});
