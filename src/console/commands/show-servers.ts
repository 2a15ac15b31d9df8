import type { Pool } from '../../backend/pool.js';
import type { BackendConnection } from '../../backend/postgres/connection.js';
import type { ServerAddress } from '../../config/config.js';
import { clockText } from '../clock-text.js';
import { showCommand } from '../show.js';

/** One connection to a shard. */
interface ServerRow {
  readonly pool: Pool;
  readonly backend: BackendConnection;
  readonly address: ServerAddress;
}

export const showServers = showCommand<ServerRow>({
  name: 'SERVERS',
  help: 'The connections to shards',
  columns: [
    { name: 'type', type: 'text', of: () => 'S' },
    { name: 'user', type: 'text', of: ({ address }) => address.user },
    { name: 'database', type: 'text', of: ({ pool }) => pool.shard.name },
    { name: 'replication', type: 'text', of: () => 'none' },
    { name: 'state', type: 'text', of: ({ pool, backend }) => pool.stateOf(backend) },
    { name: 'addr', type: 'text', of: ({ address }) => address.host },
    { name: 'port', type: 'int4', of: ({ address }) => address.port },
    { name: 'local_addr', type: 'text', of: ({ backend }) => backend.transport.localEnd.address },
    { name: 'local_port', type: 'int4', of: ({ backend }) => backend.transport.localEnd.port },
    { name: 'connect_time', type: 'text', of: ({ backend }) => clockText(backend.createdAt) },
    { name: 'request_time', type: 'text', of: ({ backend }) => clockText(requestAt(backend)) },
    { name: 'wait', type: 'int4', of: () => 0 },
    { name: 'wait_us', type: 'int4', of: () => 0 },
    { name: 'close_needed', type: 'int4', of: ({ backend }) => (backend.isSpent ? 1 : 0) },
    { name: 'ptr', type: 'text', of: ({ pool, backend }) => `${pool.shard.name}-${backend.pid}` },
    { name: 'link', type: 'text', of: () => '' },
    { name: 'remote_pid', type: 'int4', of: ({ backend }) => backend.pid },
    { name: 'tls', type: 'text', of: ({ backend }) => backend.transport.localEnd.tls ?? '' },
    { name: 'application_name', type: 'text', of: applicationName },
    { name: 'prepared_statements', type: 'int4', of: ({ backend }) => backend.statements.count },
    { name: 'id', type: 'int4', of: ({ backend }) => backend.pid },
  ],
  items: ({ proxy }) =>
    proxy.cluster.all.flatMap((pool, index) => {
      const address = proxy.config.servers[index]!.primary;
      return [...pool.backends].map((backend) => ({ pool, backend, address }));
    }),
});

function requestAt(backend: BackendConnection): number {
  return backend.startedAt > 0 ? performance.timeOrigin + backend.startedAt : backend.createdAt;
}

function applicationName({ backend }: ServerRow): string {
  return backend.parameters.get('application_name') ?? '';
}
