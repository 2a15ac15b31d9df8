// @ts-check
import { execFileSync } from 'node:child_process';
import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { anyFreePort } from '../../scripts/lib/ports.mjs';
import { ProxyChild } from '../../scripts/lib/proxy-child.mjs';
import { database } from './database-servers.mjs';
import { findProgram } from './programs.mjs';
import { POOL_SIZE } from './shardgate.mjs';

/** @typedef {import('./cleanup.mjs').Cleanup} Cleanup */
/** @typedef {import('./database-servers.mjs').Servers} Servers */
/** @typedef {import('./shardgate.mjs').RunningProxy} RunningProxy */

const CLIENTS_MAX = 5_000;
const PREPARED_MAX = 200;

/**
 * @typedef {object} PgBouncer
 * @property {string} program
 * @property {string} version
 * @property {boolean} preparesInTransactionPooling since 1.21
 */

/** @returns {PgBouncer | null} null: not installed */
export function findPgBouncer() {
  const program = findProgram('pgbouncer', ['/usr/sbin']);
  if (program === null) return null;
  const output = execFileSync(program, ['--version'], { encoding: 'utf8' });
  const match = /PgBouncer (\d+)\.(\d+)\.?(\d*)/i.exec(output);
  if (match === null) return null;
  const [, major, minor, patch] = match;
  return {
    program,
    version: `${major}.${minor}${patch === '' ? '' : `.${patch}`}`,
    preparesInTransactionPooling: Number(major) > 1 || Number(minor) >= 21,
  };
}

/**
 * Starts PgBouncer in front of the one server that holds everything.
 * @param {PgBouncer} pgbouncer
 * @param {Servers} servers
 * @param {Cleanup} cleanup
 * @param {'transaction' | 'session'} poolMode
 * @returns {Promise<RunningProxy>}
 */
export async function startPgBouncer(pgbouncer, servers, cleanup, poolMode) {
  const port = await anyFreePort();
  const usersFile = writeOwned(servers, `pgbouncer-${port}.users`, '"postgres" ""\n');
  const lines = [
    '[databases]',
    `${database} = host=127.0.0.1 port=${servers.single.port} dbname=${database}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = trust',
    `auth_file = ${usersFile}`,
    `pool_mode = ${poolMode}`,
    `default_pool_size = ${POOL_SIZE}`,
    `max_client_conn = ${CLIENTS_MAX}`,
    'ignore_startup_parameters = extra_float_digits',
    // Connections come and go by the thousand; a line for each is no part of its work either.
    'log_connections = 0',
    'log_disconnections = 0',
  ];
  if (pgbouncer.preparesInTransactionPooling) {
    lines.push(`max_prepared_statements = ${PREPARED_MAX}`);
  }
  const configFile = writeOwned(servers, `pgbouncer-${port}.ini`, `${lines.join('\n')}\n`);
  const child = new ProxyChild({
    name: 'PgBouncer',
    program: pgbouncer.program,
    args: [configFile],
    cwd: servers.folder,
    logFile: join(servers.folder, `pgbouncer-${port}.log`),
    url: `postgres://postgres@127.0.0.1:${port}/${database}`,
    // It refuses to run as root, as PostgreSQL does.
    user: servers.user,
  });
  cleanup.add(() => child.stop());
  await child.untilReady();
  return {
    target: { name: 'PgBouncer', port, database, pid: child.pid },
    stop: () => child.stop(),
  };
}

/**
 * @param {Servers} servers
 * @param {string} name
 * @param {string} text
 */
function writeOwned(servers, name, text) {
  const file = join(servers.folder, name);
  writeFileSync(file, text, { mode: 0o600 });
  if (servers.user !== null) chownSync(file, servers.user.uid, servers.user.gid);
  return file;
}
