import type { ConsoleContext } from '../console-context.js';
import { showCommand } from '../show.js';

export const showLists = showCommand<readonly [string, number]>({
  name: 'LISTS',
  help: 'How many there are of what the lists show',
  columns: [
    { name: 'list', type: 'text', of: ([list]) => list },
    { name: 'items', type: 'int4', of: ([, items]) => items },
  ],
  items: counts,
});

function counts({ proxy, clients }: ConsoleContext): (readonly [string, number])[] {
  const { cluster, config, metrics } = proxy;
  const idle = cluster.all.reduce((sum, pool) => sum + pool.gauge.idle, 0);
  const active = cluster.all.reduce((sum, pool) => sum + pool.gauge.active, 0);
  const loggedIn = [...clients()].length;
  return [
    ['databases', cluster.all.length + 1],
    ['users', config.auth.users.size],
    ['peers', 0],
    ['pools', cluster.all.length],
    ['peer_pools', 0],
    ['free_clients', Math.max(0, config.limits.maxClients - metrics.clientsConnected)],
    ['used_clients', loggedIn],
    ['login_clients', Math.max(0, metrics.clientsConnected - loggedIn)],
    ['free_servers', idle],
    ['used_servers', active],
    ['dns_names', 0],
    ['dns_zones', 0],
    ['dns_queries', 0],
    ['dns_pending', 0],
  ];
}
