// @ts-check
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { copyDataFolder, makeDataFolder } from '../../scripts/lib/data-folder.mjs';
import { postgresBin } from '../../scripts/lib/postgres-binaries.mjs';
import { PostgresServer } from '../../scripts/lib/postgres-server.mjs';
import { StepError } from '../../scripts/lib/project.mjs';
import { canWorkIn, serverUser } from '../../scripts/lib/unprivileged-user.mjs';
import { removeAtEnd } from '../../scripts/lib/watchdog-client.mjs';

/** @typedef {import('./cleanup.mjs').Cleanup} Cleanup */
/** @typedef {import('../../scripts/lib/unprivileged-user.mjs').SystemUser} SystemUser */

export const database = 'pgbench';
export const shardNames = /** @type {const} */ (['s0', 's1', 's2', 's3']);
/** The whole data set on one server: what PgBouncer and the direct runs use. */
const SINGLE = 'single';

/**
 * @typedef {object} Servers
 * @property {readonly PostgresServer[]} shards s0 to s3, the quarters of the keyspace ids in order
 * @property {PostgresServer} single
 * @property {SystemUser | null} user that they run as
 * @property {string} folder for files of this run, the user's own; deleted at the end
 * @property {string} bin folder of `postgres`
 */

/**
 * Five empty PostgreSQL servers in a temporary folder, each with the database `pgbench`.
 * @param {Cleanup} cleanup
 * @returns {Promise<Servers>}
 */
export async function startServers(cleanup) {
  const user = serverUser();
  const bin = postgresBin(user);
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-bench-'));
  removeAtEnd(folder);
  cleanup.add(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  if (user !== null) chownSync(folder, user.uid, user.gid);
  chmodSync(folder, 0o700);
  if (!canWorkIn(folder, user)) throw new StepError(`${user?.name} cannot reach ${folder}`);
  mkdirSync(join(folder, 'logs'));

  const template = join(folder, 'template');
  const common = { bin, user, password: null };
  // Data in memory: the servers are not what is measured.
  const settings = { shared_buffers: '256MB' };
  await makeDataFolder({ ...common, folder: template, durable: false, settings });
  const servers = await Promise.all(
    [...shardNames, SINGLE].map(async (name) => {
      const dataFolder = join(folder, name);
      await copyDataFolder(template, dataFolder, user);
      const logFile = join(folder, 'logs', `${name}.log`);
      const server = await PostgresServer.start({ ...common, name, dataFolder, logFile });
      cleanup.add(() => server.stopNow());
      await query(server.url(), `CREATE DATABASE ${database}`);
      return server;
    }),
  );
  const single = servers[shardNames.length];
  if (single === undefined) throw new StepError('the servers did not start');
  return { shards: servers.slice(0, shardNames.length), single, user, folder, bin };
}

/**
 * Runs one text on a connection of its own.
 * @param {string} url
 * @param {string} sql
 * @returns {Promise<pg.QueryResult>} that of the last statement
 */
export async function query(url, sql) {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  try {
    await client.connect();
    const results = await client.query(sql);
    return Array.isArray(results) ? results.at(-1) : results;
  } finally {
    await client.end().catch(() => {});
  }
}
