import type { ListedClient } from '../../frontend/client-info.js';
import type { ColumnOf } from '../column.js';
import { clockText, splitWait } from '../clock-text.js';
import { showCommand } from '../show.js';

const columns: readonly ColumnOf<ListedClient>[] = [
  { name: 'type', type: 'text', of: () => 'C' },
  { name: 'user', type: 'text', of: ({ info }) => info.user },
  { name: 'database', type: 'text', of: ({ info }) => info.database },
  { name: 'replication', type: 'text', of: () => 'none' },
  { name: 'state', type: 'text', of: state },
  { name: 'addr', type: 'text', of: ({ info }) => info.address ?? 'unix' },
  { name: 'port', type: 'int4', of: ({ info }) => info.port },
  { name: 'local_addr', type: 'text', of: ({ info }) => info.localAddress ?? 'unix' },
  { name: 'local_port', type: 'int4', of: ({ info }) => info.localPort },
  { name: 'connect_time', type: 'text', of: ({ info }) => clockText(info.connectedAt) },
  { name: 'request_time', type: 'text', of: (client) => clockText(lastRequestAt(client)) },
  { name: 'wait', type: 'int4', of: (client) => splitWait(waitedMs(client)).seconds },
  { name: 'wait_us', type: 'int4', of: (client) => splitWait(waitedMs(client)).us },
  { name: 'close_needed', type: 'int4', of: () => 0 },
  { name: 'ptr', type: 'text', of: ({ info }) => `client-${info.id}` },
  { name: 'link', type: 'text', of: link },
  { name: 'remote_pid', type: 'int4', of: () => 0 },
  { name: 'tls', type: 'text', of: ({ info }) => info.tls ?? '' },
  { name: 'application_name', type: 'text', of: applicationName },
  {
    name: 'prepared_statements',
    type: 'int4',
    of: ({ session }) => session?.extended.statements.count ?? 0,
  },
  { name: 'id', type: 'int4', of: ({ info }) => info.id },
];

export const showClients = showCommand({
  name: 'CLIENTS',
  help: 'Who is logged in; KILL takes the id',
  columns,
  items: ({ clients }) => clients(),
});

function state({ session }: ListedClient): string {
  if (session === null || session.work.participants.length > 0) return 'active';
  return session.leases.waitedMs === null ? (session.idle ? 'idle' : 'active') : 'waiting';
}

function waitedMs({ session }: ListedClient): number {
  return session?.leases.waitedMs ?? 0;
}

/** The backends that it holds, as SHOW SERVERS calls them. */
function link({ session }: ListedClient): string {
  const held = session?.work.participants ?? [];
  return held.map(({ shard, pid }) => `${shard.name}-${pid}`).join(' ');
}

function applicationName({ info, session }: ListedClient): string {
  return session?.settings.current.get('application_name') ?? info.applicationName;
}

/** Nobody notes when a client sends something; of what runs now the start is known. */
function lastRequestAt({ info, session }: ListedClient): number {
  const held = session?.work.participants ?? [];
  const startedAt = Math.max(...held.map((backend) => backend.startedAt));
  return startedAt > 0 ? performance.timeOrigin + startedAt : info.connectedAt;
}
