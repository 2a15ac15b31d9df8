// @ts-check
import { StepError } from '../../scripts/lib/project.mjs';
import { database, query } from './database-servers.mjs';
import { fromDist } from './from-dist.mjs';
import { pgbench } from './pgbench.mjs';

/** @typedef {import('./database-servers.mjs').Servers} Servers */
/** @typedef {import('./shardgate.mjs').Target} Target */

const ACCOUNTS = 100_000;
const TELLERS = 10;
const INT4_OID = 23;

/**
 * Loads pgbench's tables into the single server, and into the shards through Shardgate.
 * @param {Servers} servers
 * @param {Target} shardgate
 * @param {number} scale
 * @returns {Promise<string | null>} why the shards had to be loaded past Shardgate; null: they had not
 */
export async function loadPgbenchData(servers, shardgate, scale) {
  const { single } = servers;
  const direct = { name: 'the server', port: single.port, database, pid: null };
  await pgbench(direct, ['-i', '-q', '-s', String(scale)]);
  /** @type {string | null} */
  let problem = null;
  try {
    await pgbench(shardgate, ['-i', '-q', '-s', String(scale)]);
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    problem = error.details.join(' ');
    await loadShards(servers, scale);
  }
  const urls = servers.shards.map((server) => server.url(database));
  // Now, not in the middle of a measurement.
  for (const url of [...urls, single.url(database)]) {
    await query(url, 'VACUUM ANALYZE pgbench_accounts, pgbench_branches');
  }
  await checkRows(urls, scale * ACCOUNTS);
  return problem;
}

/**
 * Loads each shard with its own quarter of the rows.
 * @param {Servers} servers
 * @param {number} scale
 */
async function loadShards(servers, scale) {
  const { makeHashVindex } = /** @type {typeof import('../../src/vindex/hash.js')} */ (
    await fromDist('vindex/hash.js')
  );
  const vindex = makeHashVindex('by_id');
  for (const [quarter, server] of servers.shards.entries()) {
    const target = { name: server.name, port: server.port, database, pid: null };
    await pgbench(target, ['-i', '-q', '-I', 'dt', '-s', String(scale)]);
    const mine = (/** @type {string} */ column) =>
      `(${vindex.sqlExpression(column, INT4_OID) ?? ''} >> 62) & 3 = ${quarter}`;
    const rows = (/** @type {number} */ perBranch) =>
      `FROM generate_series(1, ${scale * perBranch}) AS rows (id) WHERE ${mine('id')}`;
    await query(
      server.url(database),
      `INSERT INTO pgbench_branches SELECT id, 0 ${rows(1)};
       INSERT INTO pgbench_tellers SELECT id, (id - 1) / ${TELLERS} + 1, 0 ${rows(TELLERS)};
       INSERT INTO pgbench_accounts
         SELECT id, (id - 1) / ${ACCOUNTS} + 1, 0, '' ${rows(ACCOUNTS)}`,
    );
    await pgbench(target, ['-i', '-q', '-I', 'p', '-s', String(scale)]);
  }
}

/**
 * Rows that are missing would make reads cheaper than they are.
 * @param {readonly string[]} urls of the shards
 * @param {number} expected
 */
async function checkRows(urls, expected) {
  let count = 0;
  for (const url of urls) {
    const { rows } = await query(url, 'SELECT count(*)::int FROM pgbench_accounts');
    count += rows[0].count;
  }
  if (count !== expected) {
    throw new StepError(`the shards hold ${count} accounts together, not ${expected}`);
  }
}
