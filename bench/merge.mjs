// @ts-check
import { database, query } from './lib/database-servers.mjs';
import { fromDist } from './lib/from-dist.mjs';
import { figure, megabytes, median, table } from './lib/markdown.mjs';
import { cpuMicroseconds, memory, resetPeak } from './lib/process-stats.mjs';
import { RawClient } from './lib/raw-client.mjs';
import { startShardgate } from './lib/shardgate.mjs';

/** @typedef {import('./lib/bench.mjs').Bench} Bench */
/** @typedef {import('./lib/database-servers.mjs').Servers} Servers */
/** @typedef {import('./lib/shardgate.mjs').Target} Target */
/** @typedef {{ ms: number, cpuMs: number, peakBytes: number }} Sample */

const JOINED_ROWS = 100_000;
const INT4_OID = 23;
/** Short statements are repeated: a clock tick of CPU time is as long as several of them. */
const REPEATS = 20;
/** Two tables whose rows lie by another column than the one that joins them. */
const joined = /** @type {const} */ (['gather_left', 'gather_right']);

const cases = /** @type {const} */ ([
  {
    name: 'ORDER BY, all rows',
    sql: 'SELECT aid, bid, abalance, filler FROM pgbench_accounts ORDER BY aid',
    repeats: 1,
    all: true,
  },
  {
    name: 'ORDER BY .. LIMIT 10',
    sql: 'SELECT * FROM pgbench_accounts ORDER BY aid DESC LIMIT 10',
    repeats: REPEATS,
    all: false,
  },
  {
    name: 'ORDER BY .. LIMIT 10, no index',
    sql: 'SELECT * FROM pgbench_accounts ORDER BY abalance DESC, bid, aid LIMIT 10',
    repeats: 2,
    all: false,
  },
  {
    name: 'GROUP BY, 100 groups',
    sql:
      'SELECT aid % 100, count(*), sum(abalance), avg(aid), max(filler) FROM pgbench_accounts ' +
      'GROUP BY 1',
    repeats: 2,
    all: false,
  },
  {
    name: 'gather join, 2 x 100,000 rows',
    sql:
      `SELECT count(*), sum(l.v + r.v) FROM ${joined[0]} l JOIN ${joined[1]} r ON l.k = r.k ` +
      'WHERE l.v <> r.v',
    repeats: 2,
    all: false,
  },
]);
/** @typedef {(typeof cases)[number]} Case */

/**
 * Statements whose answer is made of all shards', next to one of the shards (with its quarter of the
 * rows) and to one server that holds everything.
 * @param {Bench} bench
 * @returns {Promise<string>} Markdown
 */
export async function measureMerge(bench) {
  const { servers, options, cleanup } = bench;
  await loadJoined(servers);
  const shardgate = await startShardgate(servers, cleanup, options.profile);
  const first = /** @type {Servers['single']} */ (servers.shards[0]);
  const targets = [
    shardgate.target,
    { name: 'one shard', port: first.port, database, pid: null },
    { name: 'one server', port: servers.single.port, database, pid: null },
  ];
  const rows = [];
  for (const one of cases) {
    /** @type {Map<string, Sample[]>} */
    const samples = new Map(targets.map(({ name }) => [name, []]));
    // The first round warms up: caches, plans, what was just compiled.
    for (let round = -1; round < options.rounds; round++) {
      for (const target of targets) {
        const sample = await run(target, one);
        if (round >= 0) samples.get(target.name)?.push(sample);
      }
    }
    rows.push(resultRow(one, samples, options.scale * 100_000));
    console.log(`  ${rows.at(-1)?.join('  ')}`);
  }
  await shardgate.stop();
  const head = ['statement', 'Shardgate ms', 'one shard ms', 'one server ms'];
  head.push('Shardgate rows/s', 'ms CPU', 'peak MB');
  const accounts = figure(options.scale * 100_000, 0);
  const note =
    `${accounts} accounts over four shards; medians of ${options.rounds} runs, taken in turns, ` +
    'one client. One shard: the same statement over its own quarter; one server: over all rows. ' +
    'CPU and peak RSS are those of the proxy.';
  return `### Many shards, one answer\n\n${table(head, rows)}\n\n${note}`;
}

/**
 * @param {Target} target
 * @param {Case} one
 * @returns {Promise<Sample>} of one statement
 */
async function run(target, one) {
  const client = await RawClient.connect(target);
  const { pid } = target;
  if (pid !== null) resetPeak(pid);
  const cpu = pid === null ? NaN : cpuMicroseconds(pid);
  const started = performance.now();
  for (let i = 0; i < one.repeats; i++) await client.query(one.sql);
  const ms = (performance.now() - started) / one.repeats;
  const cpuMs = pid === null ? NaN : (cpuMicroseconds(pid) - cpu) / 1000 / one.repeats;
  const peakBytes = pid === null ? NaN : memory(pid).peakBytes;
  await client.end();
  return { ms, cpuMs, peakBytes };
}

/**
 * @param {Case} one
 * @param {Map<string, Sample[]>} samples
 * @param {number} accounts
 */
function resultRow({ name, all }, samples, accounts) {
  const middle = (/** @type {string} */ target, /** @type {keyof Sample} */ field) =>
    median((samples.get(target) ?? []).map((sample) => sample[field]));
  const proxy = 'Shardgate, four servers';
  const ms = middle(proxy, 'ms');
  return [
    name,
    figure(ms),
    figure(middle('one shard', 'ms')),
    figure(middle('one server', 'ms')),
    all ? figure((accounts / ms) * 1000, 0) : '-',
    figure(middle(proxy, 'cpuMs')),
    megabytes(Math.max(...(samples.get(proxy) ?? []).map((sample) => sample.peakBytes))),
  ];
}

/**
 * Makes the two tables on all servers: each row on the shard of its `id`, and everything on the one
 * server. `k` joins rows of different shards.
 * @param {Servers} servers
 */
async function loadJoined(servers) {
  const { makeHashVindex } = /** @type {typeof import('../src/vindex/hash.js')} */ (
    await fromDist('vindex/hash.js')
  );
  const place = makeHashVindex('by_id').sqlExpression('id', INT4_OID) ?? '';
  const load = (
    /** @type {string} */ name,
    /** @type {number} */ factor,
    /** @type {string} */ of,
  ) =>
    `DROP TABLE IF EXISTS ${name};
     CREATE TABLE ${name} (id int PRIMARY KEY, k int NOT NULL, v int NOT NULL);
     INSERT INTO ${name} SELECT id, id::bigint * ${factor} % ${JOINED_ROWS}, id % 1000
       FROM generate_series(1, ${JOINED_ROWS}) AS rows (id) WHERE ${of};
     ANALYZE ${name}`;
  // Both factors are prime to the number of rows, so that every row meets exactly one.
  const both = (/** @type {string} */ of) => `${load(joined[0], 7, of)}; ${load(joined[1], 9, of)}`;
  for (const [quarter, server] of servers.shards.entries()) {
    await query(server.url(database), both(`(${place} >> 62) & 3 = ${quarter}`));
  }
  await query(servers.single.url(database), both('true'));
}
