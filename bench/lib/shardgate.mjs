// @ts-check
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { anyFreePort } from '../../scripts/lib/ports.mjs';
import { projectRoot } from '../../scripts/lib/project.mjs';
import { ProxyChild } from '../../scripts/lib/proxy-child.mjs';
import { database, shardNames } from './database-servers.mjs';

/** @typedef {import('./cleanup.mjs').Cleanup} Cleanup */
/** @typedef {import('./database-servers.mjs').Servers} Servers */

/**
 * Where statements are sent.
 * @typedef {object} Target
 * @property {string} name
 * @property {number} port on 127.0.0.1
 * @property {string} database
 * @property {number | null} pid of the proxy; null: there is none
 */

/** Backends for each shard, or for the one server: nobody waits, so queueing is not measured. */
export const POOL_SIZE = 40;

/** The quarters of the keyspace ids, in the order of the shards. */
const quarters = ['-40', '40-80', '80-c0', 'c0-'];

/**
 * What Shardgate is put in front of: the four shards, or the one server as a cluster of one shard,
 * which is all that another proxy can be compared with on equal terms.
 * @typedef {'four servers' | 'one server'} Backing
 */

/**
 * @typedef {object} RunningProxy
 * @property {Target} target
 * @property {() => Promise<void>} stop
 */

/**
 * Starts `node dist/main.js` with the tables of config/pgbench.yaml.
 * @param {Servers} servers
 * @param {Cleanup} cleanup
 * @param {string | null} profileFolder for --cpu-prof
 * @param {Backing} [backing]
 * @returns {Promise<RunningProxy>}
 */
export async function startShardgate(servers, cleanup, profileFolder, backing = 'four servers') {
  const port = await anyFreePort();
  const configFile = join(servers.folder, `shardgate-${port}.yaml`);
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify(configuration(servers, port, backing), null, 2));
  const nodeArgs = [];
  if (profileFolder !== null) {
    const folder = resolve(projectRoot, profileFolder);
    mkdirSync(folder, { recursive: true });
    nodeArgs.push('--cpu-prof', `--cpu-prof-dir=${folder}`);
  }
  const args = [...nodeArgs, 'dist/main.js', '--config', configFile];
  const child = new ProxyChild({
    name: 'Shardgate',
    program: process.execPath,
    args,
    cwd: projectRoot,
    logFile: join(servers.folder, `shardgate-${port}.log`),
    url: `postgres://postgres@127.0.0.1:${port}/${database}`,
  });
  cleanup.add(() => child.stop());
  await child.untilReady();
  return {
    target: { name: `Shardgate, ${backing}`, port, database, pid: child.pid },
    stop: () => child.stop(),
  };
}

/**
 * @param {Servers} servers
 * @param {number} port
 * @param {Backing} backing
 */
function configuration(servers, port, backing) {
  return {
    listen: { host: '127.0.0.1', port },
    database,
    auth: { method: 'trust', users: [{ name: 'postgres', role: 'admin' }] },
    pool: { size: POOL_SIZE },
    log: { level: 'warn' },
    drain_timeout: '1s',
    keyspaces: {
      bench: {
        vindexes: { by_id: { type: 'hash' } },
        shards:
          backing === 'one server'
            ? [{ name: 'single', range: '-', primary: servers.single.url(database) }]
            : servers.shards.map((server, i) => ({
                name: shardNames[i],
                range: quarters[i],
                primary: server.url(database),
              })),
        tables: {
          pgbench_accounts: { shard_key: 'aid', vindex: 'by_id' },
          pgbench_tellers: { shard_key: 'tid', vindex: 'by_id' },
          pgbench_branches: { shard_key: 'bid', vindex: 'by_id' },
          pgbench_history: { shard_key: 'aid', vindex: 'by_id' },
          gather_left: { shard_key: 'id', vindex: 'by_id' },
          gather_right: { shard_key: 'id', vindex: 'by_id' },
        },
      },
    },
  };
}
