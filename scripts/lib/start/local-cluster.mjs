// @ts-check
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { makeDataFolder } from '../data-folder.mjs';
import { nextFreePort } from '../ports.mjs';
import { postgresBin } from '../postgres-binaries.mjs';
import { PostgresServer, stopLeftover } from '../postgres-server.mjs';
import { StepError } from '../project.mjs';
import {
  canWorkIn,
  lastingTemporaryFolder,
  makePrivateFolder,
  serverUser,
} from '../unprivileged-user.mjs';
import { homeFolder, logFolder, writeState } from './state.mjs';

/** @typedef {import('../unprivileged-user.mjs').SystemUser} SystemUser */

export const serverNames = /** @type {const} */ (['main', 's0', 's1', 's2', 's3']);
/** Above the usual 5432, where a PostgreSQL of the machine may be. */
const FIRST_PORT = 15432;

/**
 * The five servers of `npm start`, created at the first one and kept.
 * @param {import('./state.mjs').State} state ports are written into it
 * @param {(server: PostgresServer) => void} started called for each as soon as it runs
 * @param {AbortSignal} signal gives up
 * @returns {Promise<PostgresServer[]>}
 */
export async function startServers(state, started, signal) {
  const preferred = join(homeFolder, 'servers');
  const user = serverUser(preferred);
  const bin = postgresBin(user);
  const folder = prepareFolder(preferred, user);
  if (!existsSync(join(folder, 'main'))) state.sample = 'none';
  writeState(state);

  // Before ports are looked at, since leftovers hold theirs.
  await Promise.all(serverNames.map((name) => stopLeftover(join(folder, name))));
  const ports = await choosePorts(state);
  const outcomes = await Promise.allSettled(
    serverNames.map(async (name) => {
      const begun = performance.now();
      const dataFolder = join(folder, name);
      const common = { bin, user, password: state.superuserPassword };
      if (!existsSync(dataFolder)) {
        console.log(`  ${name.padEnd(5)} creating...`);
        await makeDataFolder({ ...common, folder: dataFolder, durable: true, settings: {} });
      }
      signal.throwIfAborted();
      const logFile = join(logFolder, `${name}.log`);
      const preferredPort = ports.get(name) ?? FIRST_PORT;
      const options = { ...common, name, dataFolder, logFile, preferredPort, signal };
      const server = await PostgresServer.start(options);
      started(server);
      await prepareDatabase(server, state.appPassword);
      const seconds = ((performance.now() - begun) / 1000).toFixed(1);
      console.log(`  ${name.padEnd(5)} runs on 127.0.0.1:${server.port} (${seconds} s)`);
      return server;
    }),
  );
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  const servers = outcomes.flatMap((outcome) =>
    outcome.status === 'fulfilled' ? [outcome.value] : [],
  );
  state.ports = Object.fromEntries(servers.map(({ name, port }) => [name, port]));
  writeState(state);
  return servers;
}

/**
 * Where the servers' user may work: below .shardgate, unless that is out of its reach (a project
 * folder of root's, say).
 * @param {string} preferred
 * @param {SystemUser | null} user
 */
function prepareFolder(preferred, user) {
  makePrivateFolder(preferred, user);
  if (canWorkIn(preferred, user)) return preferred;
  const key = createHash('sha256').update(preferred).digest('hex').slice(0, 12);
  const folder = join(lastingTemporaryFolder(), `shardgate-servers-${key}`);
  makePrivateFolder(folder, user);
  if (!canWorkIn(folder, user)) {
    throw new StepError(`${user?.name ?? 'this user'} cannot work in ${preferred} or ${folder}`);
  }
  console.log(`  ${user?.name} cannot reach ${preferred}: the data is in ${folder}`);
  return folder;
}

/**
 * Those of the last start where they are free, so that URLs people noted down go on working.
 * @param {import('./state.mjs').State} state
 * @returns {Promise<Map<string, number>>}
 */
async function choosePorts(state) {
  /** @type {Map<string, number>} */
  const ports = new Map();
  for (const [i, name] of serverNames.entries()) {
    const wanted = state.ports[name] ?? FIRST_PORT + i;
    ports.set(name, await nextFreePort(wanted, new Set(ports.values())));
  }
  return ports;
}

/**
 * The role that the proxy logs in as, and its database. Not a superuser: whoever may use the proxy
 * must not be able to run programs as the servers' user.
 * @param {PostgresServer} server
 * @param {string} appPassword letters, digits, - and _ only
 */
async function prepareDatabase(server, appPassword) {
  const client = new pg.Client({ connectionString: server.url() });
  try {
    await client.connect();
    const { rows } = await client.query(
      `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') AS role,
              EXISTS (SELECT FROM pg_database WHERE datname = 'shop') AS database`,
    );
    if (!rows[0].role) await client.query('CREATE ROLE app LOGIN');
    if (!rows[0].database) {
      await client.query(`ALTER ROLE app PASSWORD '${appPassword}'`);
      await client.query('CREATE DATABASE shop OWNER app');
    }
  } catch (error) {
    throw new StepError(`server ${server.name} could not be set up: ${String(error)}`, [
      `Its log is ${server.logFile}. Deleting ${homeFolder} starts afresh.`,
    ]);
  } finally {
    await client.end().catch(() => {});
  }
}
